import Foundation
import ModelFormats
import Testing
import Tokenization
import Training
import Unlearning

@Suite("Encoder and trainer refuse what does not fit")
struct EncoderTests {
  @Test("sequences outside the tables", arguments: [0, 1, 2, 3, 4, 5])
  func sequences(row: Int) throws {
    let fixture = try Fixture.tiny.get()
    let rows: [(sequence: TokenSequence, error: TrainingError)] = [
      (TokenSequence(ids: []), .sequenceLength(index: 1, found: 0, limit: 128)),
      (
        TokenSequence(ids: Array(repeating: 5, count: 129)),
        .sequenceLength(index: 1, found: 129, limit: 128)
      ),
      (TokenSequence(ids: [313]), .unknownToken(index: 1, id: 313)),
      (TokenSequence(ids: [-1]), .unknownToken(index: 1, id: -1)),
      (TokenSequence(ids: [1], typeIDs: [2]), .unknownToken(index: 1, id: 2)),
      (TokenSequence(ids: [1], typeIDs: [-1]), .unknownToken(index: 1, id: -1)),
    ]
    #expect(throws: rows[row].error) {
      try fixture.encoder.activations(
        of: [TokenSequence(ids: [1]), rows[row].sequence], below: 1)
    }
  }

  @Test("token types and adapters change the answer; a batch mate does not")
  func logits() throws {
    let fixture = try Fixture.tiny.get()
    let head = try #require(fixture.initial.head)
    let plain = TokenSequence(ids: fixture.sequences[3].ids)
    let pair = fixture.sequences[3]
    let model = try fixture.encoder.adapted(by: fixture.initial.adapters)
    let together = try model.logits(of: [plain, pair, plain], head: head)
    #expect(together[0] != together[1])
    #expect(try model.logits(of: [], head: head).isEmpty)
    let alone = try fixture.encoder.logits(of: [plain], adapters: [], head: head)
    #expect(alone[0] != together[0])
    let single = try model.logits(of: [plain], head: head)
    for (left, right) in zip(single[0], together[2]) { #expect(abs(left - right) < 1e-5) }
  }

  @Test("adapters that fit no projection")
  func adapters() throws {
    let fixture = try Fixture.tiny.get()
    let good = fixture.initial.adapters[0]
    var high = good
    high.place.layer = 4
    #expect(throws: TrainingError.unknownLayer(4, layerCount: 4)) {
      try fixture.encoder.adapted(by: [high])
    }
    #expect(throws: TrainingError.conflictingAdapters(good.place)) {
      try fixture.encoder.adapted(by: [good, good])
    }
    var moved = good
    moved.place.target = .intermediate
    #expect(
      throws: TrainingError.wrongAdapterShape(moved.place, expected: [64, 32], found: [32, 32])
    ) {
      try fixture.encoder.adapted(by: [moved])
    }
  }

  @Test("training arguments that contradict each other")
  func training() throws {
    let fixture = try Fixture.tiny.get()
    let adapter = fixture.initial.adapters[0]
    func trainer(
      _ recipe: TrainingRecipe, layers: [Int] = [3], initial: [Adapter] = [],
      head: ClassifierHead? = nil
    ) throws -> BlockTrainer {
      try BlockTrainer(
        encoder: fixture.encoder, recipe: recipe, layers: layers, initialAdapters: initial,
        head: head, seed: 0)
    }
    #expect(throws: TrainingError.unknownLayer(9, layerCount: 4)) {
      try trainer(fixture.recipe, layers: [3, 9])
    }
    #expect(throws: TrainingError.conflictingAdapters(adapter.place)) {
      try trainer(fixture.recipe, initial: [adapter])
    }
    var otherScale = adapter
    otherScale.scale = 1
    #expect(throws: TrainingError.wrongAdapterSetting(adapter.place)) {
      try trainer(fixture.recipe, layers: [0], initial: [otherScale])
    }
    #expect(throws: TrainingError.wrongHeadShape(expected: [3, 32], found: [2, 32])) {
      try trainer(fixture.recipe, head: .zero(labelCount: 2, hiddenSize: 32))
    }
    let segment = try fixture.segment(below: 2, adapters: [])
    #expect(throws: TrainingError.wrongActivations(expectedLayer: 3, foundLayer: 2)) {
      try trainer(fixture.recipe).lossAndGradients(of: fixture.positions, in: [segment])
    }
    let fitting = try fixture.segment(below: 3, adapters: [])
    for position in [
      RecordPosition(segment: 1, index: 0), RecordPosition(segment: 0, index: 8),
      RecordPosition(segment: -1, index: 0), RecordPosition(segment: 0, index: -1),
    ] {
      #expect(throws: TrainingError.unknownRecord(position)) {
        try trainer(fixture.recipe).lossAndGradients(of: [position], in: [fitting])
      }
    }
    var two = fixture.recipe
    two.labels = ["a", "b"]
    #expect(throws: TrainingError.unknownTarget(.label(2), labelCount: 2)) {
      try trainer(two).lossAndGradients(of: fixture.positions, in: [fitting])
    }
  }

  @Test("a loss that leaves the numbers is an error, not a block")
  func diverges() throws {
    let fixture = try Fixture.tiny.get()
    var recipe = fixture.recipe
    (recipe.learningRate, recipe.headLearningRate) = (1e30, 1e30)
    (recipe.warmup, recipe.maximumGradientNorm) = (0, 0)
    let segment = try fixture.segment(below: 3, adapters: [])
    let trainer = try BlockTrainer(
      encoder: fixture.encoder, recipe: recipe, layers: [3], seed: 0)
    #expect(throws: TrainingError.self) {
      try trainer.train(
        on: [segment], stepCount: 20, order: { _ in fixture.positions }, onStep: { _ in })
    }
  }

  @Test("a backbone without a tensor, or with another shape, is named")
  func backbone() throws {
    let folder = Fixture.packageRoot.appending(path: "Tests/Fixtures/tiny-bert/model")
    let file = try SafetensorsFile(
      Data(contentsOf: folder.appending(path: "model.safetensors")))
    var configuration = try EncoderConfiguration(
      configJSON: Data(contentsOf: folder.appending(path: "config.json")))
    configuration.layerCount = 5
    #expect(
      throws: TrainingError.backbone(
        .missingTensor(name: "encoder.layer.4.attention.self.query.weight"))
    ) {
      try Encoder(configuration: configuration, weights: file)
    }
    configuration.layerCount = 4
    configuration.vocabularySize = 314
    #expect(
      throws: TrainingError.backbone(
        .wrongShape(
          name: "embeddings.word_embeddings.weight", expected: [314, 32], found: [313, 32]))
    ) {
      try Encoder(configuration: configuration, weights: file)
    }
  }

  @Test("names under bert. are found as well")
  func prefixed() throws {
    let fixture = try Fixture.tiny.get()
    let folder = Fixture.packageRoot.appending(path: "Tests/Fixtures/tiny-bert/model")
    let file = try SafetensorsFile(
      Data(contentsOf: folder.appending(path: "model.safetensors")))
    let renamed = try file.tensors.filter { $0.type == .float32 }.map { tensor in
      NamedTensor(
        name: "bert." + tensor.name, shape: tensor.shape, values: Array(try file.floats(tensor)))
    }
    let other = try Encoder(
      configuration: fixture.encoder.configuration,
      weights: SafetensorsFile(SafetensorsWriter.encode(renamed)))
    let head = try #require(fixture.initial.head)
    #expect(
      try other.logits(of: fixture.sequences, adapters: [], head: head)
        == fixture.encoder.logits(of: fixture.sequences, adapters: [], head: head))
  }
}
