import Testing
import Training
import Unlearning

@Suite("Learning-rate factors")
struct LearningRateTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var schedule: LearningRateSchedule
    var warmup: Double
    var total: Int
    var factors: [Double]
    var because: String
    var testDescription: String { because }
  }

  static let rows = [
    Row(
      schedule: .linear, warmup: 0.2, total: 5, factors: [0, 1, 0.75, 0.5, 0.25],
      because: "the recorded run's factors"),
    Row(
      schedule: .constant, warmup: 2, total: 4, factors: [0, 0.5, 1, 1],
      because: "two steps of warm-up, then no change"),
    Row(
      schedule: .linear, warmup: 0, total: 4, factors: [1, 0.75, 0.5, 0.25],
      because: "without warm-up the first step counts"),
    Row(
      schedule: .linear, warmup: 0.21, total: 5, factors: [0, 0.5, 1, 2.0 / 3, 1.0 / 3],
      because: "a share is rounded up to whole steps"),
    Row(
      schedule: .linear, warmup: 9, total: 3, factors: [0, 1.0 / 9, 2.0 / 9],
      because: "warm-up longer than training"),
  ]

  @Test("are those of Hugging Face", arguments: rows)
  func factors(_ row: Row) {
    let factors = LearningRateFactors(
      schedule: row.schedule, warmup: row.warmup, totalStepCount: row.total)
    for (step, expected) in row.factors.enumerated() {
      #expect(abs(factors.factor(atStep: step) - expected) < 1e-15)
    }
  }
}
