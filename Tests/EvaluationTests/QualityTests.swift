import Evaluation
import Testing
import Unlearning

@Suite struct QualityTests {
  /// Worked out by hand: probabilities ¾ ¼, ½ ½, ⅕ ⅘, and the second text answered wrong.
  @Test func classesByHand() {
    let scores = [[1.0986122886681098, 0], [0, 0], [0, 1.3862943611198906]]
    let quality = Quality(scores, labels: [0, 1, 1], by: .meanLogits)
    #expect(quality.accuracy == 2.0 / 3)
    // F1 of class 0: 2·1/(2+1); of class 1: 2·1/(1+2).
    #expect(abs(quality.macroF1 - 2.0 / 3) < 1e-12)
    #expect(abs(quality.loss - 0.401324268) < 1e-8)
    // 2·(¼² + ½² + ⅕²) / 3
    #expect(abs(quality.brier - 0.235) < 1e-12)
    // (|¾ − 1| + |½ − 0| + |⅘ − 1|) / 3, each in a bin of its own.
    #expect(abs(quality.calibrationError - 0.95 / 3) < 1e-12)
  }

  @Test func classesThatNeverOccurDoNotCount() {
    let quality = Quality([[2, 1, 0], [2, 1, 0]], labels: [0, 0], by: .meanLogits)
    #expect(quality.macroF1 == 1)
  }

  /// Three votes against one, with a quarter of the tie-breaks each way.
  @Test func votesAreSharesOfAll() {
    #expect(Quality.probabilities([3.5, 1.5], by: .vote) == [0.7, 0.3])
    #expect(abs(Quality.loss([3.5, 1.5], label: 1, by: .vote) - 1.2039728) < 1e-6)
  }

  @Test func numbersByHand() {
    let deviation = Deviation([[1], [2], [4]], values: [1, 3, 5])
    #expect(abs(deviation.meanSquaredError - 2.0 / 3) < 1e-12)
    #expect(abs(deviation.determination - 0.75) < 1e-12)
    #expect(Deviation([[3], [3], [3]], values: [1, 3, 5]).determination == 0)
  }

  static let areas: [([Double], [Double], Double)] = [
    ([3, 4], [1, 2], 1), ([1, 2], [3, 4], 0), ([1, 2], [1, 2], 0.5), ([2], [1, 2, 2, 3], 0.5),
    ([0, 5], [1, 2, 3], 0.5),
  ]

  @Test(arguments: areas)
  func areaIsTheChanceToBeTold(members: [Double], strangers: [Double], area: Double) {
    #expect(MembershipTest(members: members, strangers: strangers).area == area)
  }

  /// Of 200 strangers two may be taken for members: 198 and 199 lie above the threshold of 197.
  @Test func rateAtOnePercent() {
    let test = MembershipTest(
      members: [197, 197.5, 300, 5], strangers: (0..<200).map(Double.init))
    #expect(test.truePositiveRateAtOnePercent == 0.5)
  }
}
