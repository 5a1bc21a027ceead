import ModelFormats
import Numerics
import Testing
import Tokenization
import Training
import Unlearning

/// One backbone and its recorded values, checked for everything a training run consists of.
private func checkNumerics(_ fixture: Fixture) throws {
  let head = try #require(fixture.initial.head)
  let all = fixture.initial.adapters

  let logits = try fixture.encoder.logits(of: fixture.sequences, adapters: all, head: head)
  let logitError = try fixture.relativeError(logits.flatMap { $0 }, "logits")
  #expect(logitError <= 1e-4)

  // Every gradient of one batch of all eight records.
  let layers = Array(0..<fixture.encoder.layerCount)
  var recipe = fixture.recipe
  recipe.maximumGradientNorm = 1
  recipe.warmup = 0.2
  let whole = try BlockTrainer(
    encoder: fixture.encoder, recipe: recipe, layers: layers, initialAdapters: all, head: head,
    seed: 0)
  let segment = try fixture.segment(below: 0, adapters: [])
  _ = try whole.lossAndGradients(of: fixture.positions, in: [segment])
  let gradient = try fixture.worstError(whole.currentGradients, under: "grad.")
  #expect(gradient.error <= 1e-4, "\(gradient.name)")

  // Five steps on every layer, clipped, with warm-up.
  let trained = try whole.train(
    on: [segment], stepCount: 5, order: { _ in fixture.positions }, onStep: { _ in })
  let lossError = try fixture.relativeError(trained.losses.map { Float($0) }, "all.losses")
  #expect(lossError <= 1e-4)
  let parameters = try fixture.worstError((trained.adapters, trained.head), under: "all.")
  #expect(parameters.error <= 1e-4, "\(parameters.name)")

  try checkBlock(fixture, head: head)
}

/// A block in the middle: frozen adapters below, in the cached prefix, and above, passed through.
private func checkBlock(_ fixture: Fixture, head: ClassifierHead) throws {
  let all = fixture.initial.adapters
  let layers = fixture.encoder.layerCount == 4 ? [1, 2] : [2, 3]
  var recipe = fixture.recipe
  recipe.schedule = .constant
  recipe.warmup = 0
  recipe.maximumGradientNorm = 0
  let trainer = try BlockTrainer(
    encoder: fixture.encoder, recipe: recipe, layers: layers,
    frozenAdapters: all.filter { !layers.contains($0.layer) },
    initialAdapters: all.filter { layers.contains($0.layer) }, head: head, seed: 0)
  #expect(trainer.lowestLayer == layers[0])
  let segment = try fixture.segment(below: layers[0], adapters: all)
  _ = try trainer.lossAndGradients(of: Array(fixture.positions[..<4]), in: [segment])
  let gradient = try fixture.worstError(trainer.currentGradients, under: "blockgrad.")
  #expect(gradient.error <= 1e-4, "\(gradient.name)")
  let trained = try trainer.train(
    on: [segment], stepCount: 5, order: { _ in fixture.positions }, onStep: { _ in })
  let lossError = try fixture.relativeError(trained.losses.map { Float($0) }, "block.losses")
  #expect(lossError <= 1e-4)
  let parameters = try fixture.worstError((trained.adapters, trained.head), under: "block.")
  #expect(parameters.error <= 1e-4, "\(parameters.name)")
}

@Suite("Recorded PyTorch and PEFT values")
struct ReferenceTests {
  @Test(
    "a tiny random encoder gives the recorded logits, gradients and parameters",
    arguments: ["tiny-bert", "tiny-distilbert", "tiny-roberta"])
  func tiny(name: String) throws {
    try checkNumerics(Fixture(name))
  }

  static let hasMiniLM = Fixture.miniLM != nil

  @Test(
    "the real MiniLM gives the recorded logits, gradients and parameters",
    .enabled(
      if: hasMiniLM,
      "SKIPPED: no MiniLM; run ops/fetch-backbone or set LETHE_MINILM to its folder"))
  func miniLM() throws {
    try checkNumerics(Fixture("minilm", model: Fixture.miniLM))
  }

  @Test(
    "the real MiniLM gives the published sentence embedding",
    .enabled(
      if: hasMiniLM,
      "SKIPPED: no MiniLM; run ops/fetch-backbone or set LETHE_MINILM to its folder"))
  func golden() throws {
    let fixture = try Fixture("minilm", model: Fixture.miniLM)
    let ids: [Int32] = [101, 2023, 2003, 2019, 2125, 4179, 6251, 7861, 8270, 4667, 102]
    let pooled = try fixture.encoder.activations(of: [TokenSequence(ids: ids)], below: 6)
      .pooled(by: fixture.encoder)
    for (index, value) in [0.00123, 0.06581, 0.43874, 0.26193, 0.38796, 0.35712].enumerated() {
      #expect(abs(Double(pooled.pointer[index]) - value) < 2e-5)
    }
  }
}

extension ReferenceTests {
  @Test("a regression has PyTorch's losses and parameters")
  func regression() throws {
    let fixture = try Fixture.tiny.get().expecting("regression.safetensors")
    func values(_ name: String) throws -> [Float] {
      let tensor = try #require(fixture.expected.tensor(named: name))
      return Array(try fixture.expected.floats(tensor))
    }
    let head = ClassifierHead(
      weight: try values("init.base_model.model.classifier.weight"),
      bias: try values("init.base_model.model.classifier.bias"))
    var recipe = fixture.recipe
    recipe.labels = ["value"]
    recipe.maximumGradientNorm = 1
    recipe.warmup = 0.2
    let trainer = try BlockTrainer(
      encoder: fixture.encoder, recipe: recipe, layers: Array(0..<fixture.encoder.layerCount),
      initialAdapters: fixture.initial.adapters, head: head, seed: 0)
    let segment = TrainingSegment(
      targets: [0.5, -1.25, 3, 0, 1.75, -0.5, 2.25, -2].map(Target.value),
      activations: try fixture.encoder.activations(of: fixture.sequences, below: 0))
    let trained = try trainer.train(
      on: [segment], stepCount: 5, order: { _ in fixture.positions }, onStep: { _ in })
    #expect(
      try fixture.relativeError(trained.losses.map { Float($0) }, "all.losses") <= 1e-4)
    let parameters = try fixture.worstError((trained.adapters, trained.head), under: "all.")
    #expect(parameters.error <= 1e-4, "\(parameters.name)")
  }

  @Test("classes and numbers are not mixed", arguments: [["a", "b", "c"], ["value"]])
  func targets(labels: [String]) throws {
    let fixture = try Fixture.tiny.get()
    var recipe = fixture.recipe
    recipe.labels = labels
    #expect(recipe.target("1.5") == (labels.count == 1 ? .value(1.5) : nil))
    #expect(
      recipe.target("inf") == nil && recipe.target("b") == (labels.count == 1 ? nil : .label(1)))
    let trainer = try BlockTrainer(
      encoder: fixture.encoder, recipe: recipe, layers: [3], seed: 0)
    let wrong: Target = labels.count == 1 ? .label(0) : .value(0)
    let segment = TrainingSegment(
      targets: fixture.labels.map { _ in wrong },
      activations: try fixture.encoder.activations(of: fixture.sequences, below: 3))
    #expect(throws: TrainingError.unknownTarget(wrong, labelCount: labels.count)) {
      try trainer.train(
        on: [segment], stepCount: 1, order: { _ in fixture.positions }, onStep: { _ in })
    }
  }
}
