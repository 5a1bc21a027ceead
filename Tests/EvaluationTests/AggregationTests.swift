import Evaluation
import Testing
import Unlearning

@Suite struct AggregationTests {
  /// Two timid shards against a bold one: each rule decides in its own way.
  static let rows: [[Double]] = [[0.2, 0, -1], [0.3, 0, -2], [-4, 4, 0]]

  @Test(arguments: [
    (Aggregation.meanLogits, 1), (.meanProbability, 1), (.vote, 0),
  ])
  func rulesDecide(rule: Aggregation, label: Int) {
    #expect(Aggregation.answer(rule.scores(of: Self.rows)) == label)
  }

  @Test func scoresByHand() {
    let rows: [[Double]] = [[0, 0], [0, 1.0986122886681098]]
    let expected: [Aggregation: [Double]] = [
      .meanLogits: [0, 0.5493061443340549],
      // Probabilities ½ ½ and ¼ ¾.
      .meanProbability: [-0.9808292530117262, -0.4700036292457356],
      // Equal logits choose the first label.
      .vote: [1.375, 1.625],
    ]
    for (rule, scores) in expected {
      for (found, wanted) in zip(rule.scores(of: rows), scores) {
        #expect(abs(found - wanted) < 1e-12, "\(rule)")
      }
    }
  }

  @Test(arguments: Aggregation.allCases)
  func oneShardDecidesAlone(rule: Aggregation) {
    for row in Self.rows {
      #expect(Aggregation.answer(rule.scores(of: [row])) == Aggregation.answer(row))
    }
  }

  @Test func certainShardsStayFinite() {
    let scores = Aggregation.meanProbability.scores(of: [[900, -900], [800, -800]])
    #expect(scores.allSatisfy { $0.isFinite })
    #expect(Softmax.loss([900, -900], label: 1).isFinite)
  }
}
