import Foundation
import ModelFormats
import Numerics
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

  @Test("a padding token keeps its place, and those after it close the gap")
  func padding() throws {
    let fixture = try Fixture("tiny-roberta")
    func row(_ ids: [Int32], _ index: Int) throws -> [Float] {
      let found = try fixture.encoder.activations(of: [TokenSequence(ids: ids)], below: 0)
      return (0..<found.width).map { found.hidden.pointer[index * found.width + $0] }
    }
    #expect(try row([0, 9, 1, 10, 2], 3) == row([0, 9, 10, 2], 2))
    #expect(try row([0, 9, 1, 1], 2) == row([1], 0))
    #expect(try row([0, 9, 10], 2) != row([0, 10], 1))
    let limit = fixture.encoder.configuration.longestSequence
    #expect(throws: TrainingError.sequenceLength(index: 0, found: 129, limit: limit)) {
      try row(Array(repeating: 9, count: 129), 0)
    }
  }

  @Test("the layer before the head is drawn where no one has it, and the adapter's where it has")
  func dense() throws {
    let fixture = try Fixture("tiny-distilbert")
    let model = fixture.folder.appending(path: "model")
    let weights = try SafetensorsFile(Data(contentsOf: model.appending(path: "model.safetensors")))
    let bare = try Encoder(configuration: fixture.encoder.configuration, weights: weights)
    let drawn = try #require(bare.dense)
    // A constant of the engine: another one would be another model under the same key.
    #expect(drawn.weight[..<3] == [0.18175262212753296, -0.19605138897895813, -0.2124505043029785])
    #expect(drawn.bias.allSatisfy { $0 == 0 } && drawn.weight.allSatisfy { abs($0) <= 0.25 })
    #expect(fixture.encoder.dense == fixture.initial.dense && drawn != fixture.initial.dense)
    #expect(try Fixture.tiny.get().encoder.dense == nil)
    // A checkpoint that was fine-tuned whole brings its own.
    let own = try #require(fixture.initial.dense)
    let tensors = try weights.tensors.map {
      NamedTensor(name: $0.name, shape: $0.shape, values: Array(try weights.floats($0)))
    }
    let tuned = SafetensorsWriter.encode(
      tensors + [
        NamedTensor(name: "pre_classifier.weight", shape: [16, 16], values: own.weight),
        NamedTensor(name: "pre_classifier.bias", shape: [16], values: own.bias),
      ])
    let encoder = try Encoder(
      configuration: bare.configuration, weights: SafetensorsFile(tuned))
    #expect(encoder.dense == own)
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
