import Hashing
import ModelFormats
import Testing
import Tokenization
import Training
import Unlearning

/// Every gradient against differences of the loss, for adapters alone and together.
///
/// A lone target also checks that the backward pass does not end too early, and that what it leaves
/// out is not read.
@Suite("Gradients against finite differences")
struct GradientTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var targets: [ProjectionTarget]
    var layers: [Int]
    var because: String
    var testDescription: String { "\(targets.map(\.rawValue)) in \(layers): \(because)" }
  }

  static let rows: [Row] =
    ProjectionTarget.allCases.flatMap { target in
      [
        Row(targets: [target], layers: [3], because: "the backward pass ends in the top layer"),
        Row(targets: [target], layers: [0, 1], because: "it passes frozen layers above"),
      ]
    } + [
      Row(targets: [.query, .value], layers: [2], because: "the usual choice"),
      Row(
        targets: [.key, .output], layers: [0, 2], because: "a frozen layer between trained ones"),
      Row(
        targets: [.attentionOutput, .intermediate], layers: [1, 3], because: "no input adapter"),
      Row(targets: ProjectionTarget.allCases, layers: [0, 1, 2, 3], because: "everything"),
    ]

  @Test("match along the gradient and along a random direction", arguments: rows)
  func matches(_ row: Row) throws {
    let fixture = try Fixture.tiny.get()
    var recipe = fixture.recipe
    recipe.targets = row.targets
    let isTrained = { (adapter: Adapter) in
      row.layers.contains(adapter.layer) && row.targets.contains(adapter.target)
    }
    let frozen = fixture.initial.adapters.filter { !isTrained($0) && $0.layer > row.layers[0] }
    let start = fixture.initial.adapters.filter(isTrained)
    let head = try #require(fixture.initial.head)
    let segment = try fixture.segment(below: row.layers[0], adapters: [])

    func trainer(_ adapters: [Adapter], _ head: ClassifierHead) throws -> BlockTrainer {
      try BlockTrainer(
        encoder: fixture.encoder, recipe: recipe, layers: row.layers, frozenAdapters: frozen,
        initialAdapters: adapters, head: head, seed: 0)
    }
    func loss(_ adapters: [Adapter], _ head: ClassifierHead) throws -> Double {
      try trainer(adapters, head).lossAndGradients(of: fixture.positions, in: [segment])
    }
    let base = try trainer(start, head)
    _ = try base.lossAndGradients(of: fixture.positions, in: [segment])
    let gradients = base.currentGradients
    var generator = SeededGenerator(seed: 5)

    func check(
      _ gradient: [Float], _ name: String, _ shifted: ([Float]) throws -> Double
    ) throws {
      let size = norm(gradient)
      #expect(size > 1e-6, "\(name)")
      let random = gradient.map { _ in generator.nextUnitFloat() - 0.5 }
      // A random direction is nearly perpendicular to the gradient, so it is judged by its size.
      for direction in [gradient, random] {
        let unit = direction.map { $0 / Float(norm(direction)) }
        let expected = zip(gradient, unit).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let step: Float = 5e-3
        let ahead = try shifted(unit.map { $0 * step })
        let behind = try shifted(unit.map { -$0 * step })
        let found = (ahead - behind) / (2 * Double(step))
        #expect(abs(found - expected) < 5e-3 * size + 1e-4, "\(name)")
      }
    }

    for (index, gradient) in gradients.adapters.enumerated() {
      try check(gradient.a, "\(gradient.place) a") { delta in
        var moved = start
        moved[index].a = zip(moved[index].a, delta).map { $0 + $1 }
        return try loss(moved, head)
      }
      try check(gradient.b, "\(gradient.place) b") { delta in
        var moved = start
        moved[index].b = zip(moved[index].b, delta).map { $0 + $1 }
        return try loss(moved, head)
      }
    }
    try check(gradients.head.weight, "head weight") { delta in
      try loss(
        start,
        ClassifierHead(weight: zip(head.weight, delta).map { $0 + $1 }, bias: head.bias))
    }
    try check(gradients.head.bias, "head bias") { delta in
      try loss(
        start,
        ClassifierHead(weight: head.weight, bias: zip(head.bias, delta).map { $0 + $1 }))
    }
  }

  @Test("of a batch too large for one part are the mean of its records' own")
  func parts() throws {
    let fixture = try Fixture.tiny.get()
    var recipe = fixture.recipe
    recipe.targets = ProjectionTarget.allCases
    let length = 100
    let sequences = (0..<25).map { record in
      let ids: [Int32] = (0..<length).map { place in Int32(5 + (record * 31 + place * 7) % 50) }
      return TokenSequence(ids: ids)
    }
    let positions = sequences.indices.map { RecordPosition(segment: 0, index: $0) }
    let segment = TrainingSegment(
      targets: sequences.indices.map { .label($0 % 3) },
      activations: try fixture.encoder.activations(of: sequences, below: 1))
    func gradients(_ batch: [RecordPosition]) throws -> (loss: Double, values: [[Float]]) {
      let trainer = try BlockTrainer(
        encoder: fixture.encoder, recipe: recipe, layers: [1, 2],
        initialAdapters: fixture.initial.adapters.filter { [1, 2].contains($0.layer) },
        head: fixture.initial.head, seed: 0)
      let loss = try trainer.lossAndGradients(of: batch, in: [segment])
      let (adapters, head) = trainer.currentGradients
      return (loss, adapters.flatMap { [$0.a, $0.b] } + [head.weight, head.bias])
    }
    let whole = try gradients(positions)
    let single = try positions.map { try gradients([$0]) }
    let share = 1 / Double(positions.count)
    #expect(abs(whole.loss - single.reduce(0) { $0 + $1.loss } * share) < 1e-6)
    for (index, values) in whole.values.enumerated() {
      let size = values.map { abs(Double($0)) }.max() ?? 0
      for (place, value) in values.enumerated() {
        let mean = single.reduce(0) { $0 + Double($1.values[index][place]) } * share
        #expect(abs(Double(value) - mean) < 2e-5 * size + 1e-7)
      }
    }
  }

  private func norm(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}
