import ModelFormats
import Testing
import Training
import Unlearning

@Suite("Closed-form heads") struct ClosedFormHeadTests {
  static func head(_ labels: [String], _ records: [(features: [Float], target: Target)])
    -> ClassifierHead?
  {
    var form = ClosedFormHead(width: 2, recipe: TrainingRecipe(labels: labels))
    for record in records { form.add(record.features, record.target) }
    return form.solved()
  }

  /// Computed with NumPy: shrinkage 0.7, scale 0.3, counts one higher than they are.
  @Test("a discriminant has the values that NumPy finds")
  func discriminant() throws {
    let head = try #require(
      Self.head(
        ["a", "b", "c"],
        [
          ([1, 2], .label(0)), ([2, 1], .label(0)), ([4, 5], .label(1)), ([5, 3], .label(1)),
          ([6, 4], .label(1)),
        ]))
    let weight: [Float] = [1.587433, 1.485738, 3.301984, 2.844357, 2.567177, 2.262092]
    let bias: [Float] = [-3.526163, -13.218227, -8.637888]
    #expect(zip(head.weight, weight).allSatisfy { abs($0 - $1) < 1e-5 }, "\(head.weight)")
    #expect(zip(head.bias, bias).allSatisfy { abs($0 - $1) < 1e-5 }, "\(head.bias)")
  }

  @Test("least squares have the values that NumPy finds")
  func leastSquares() throws {
    let head = try #require(
      Self.head(
        ["stars"],
        [
          ([1, 2], .value(1)), ([2, 1], .value(0.5)), ([4, 5], .value(3)), ([5, 3], .value(2)),
          ([6, 4], .value(4)),
        ]))
    let weight: [Float] = [0.601144, 0.509338]
    #expect(zip(head.weight, weight).allSatisfy { abs($0 - $1) < 1e-5 }, "\(head.weight)")
    #expect(abs(head.bias[0] - -1.592131) < 1e-5, "\(head.bias)")
  }

  @Test("no record makes no head; records that are all alike make a finite one")
  func degenerate() throws {
    #expect(Self.head(["a", "b"], []) == nil)
    let head = try #require(
      Self.head(["a", "b"], (0..<3).map { _ in ([1, 1], .label(0)) }))
    #expect((head.weight + head.bias).allSatisfy { $0.isFinite })
  }

  @Test("a stage starts from it, and steps can do no better than lower its loss")
  func start() throws {
    let fixture = try Fixture.tiny.get()
    let segment = try fixture.segment(below: 3, adapters: [])
    func firstLoss(_ start: HeadStart) throws -> Double {
      let trainer = try BlockTrainer(
        encoder: fixture.encoder, recipe: fixture.recipe, layers: [3], seed: 0)
      if start == .closedForm {
        try trainer.observe(fixture.positions, in: [segment])
        trainer.startHead()
      }
      return try trainer.lossAndGradients(of: fixture.positions, in: [segment])
    }
    #expect(try firstLoss(.closedForm) < 0.8 * firstLoss(.zero))
  }
}
