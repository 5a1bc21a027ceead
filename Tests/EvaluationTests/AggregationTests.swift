import Evaluation
import Testing
import Unlearning

@Suite struct AggregationTests {
  /// Two timid shards against a bold and shallow one: each rule decides in its own way.
  static let answers = [
    ShardAnswer(depth: 3, logits: [0.2, 0, -1]), ShardAnswer(depth: 3, logits: [1.3, 0, -2]),
    ShardAnswer(depth: 1, logits: [-4, 4, 0]),
  ]

  @Test(arguments: [
    (Aggregation.meanLogits, 1), (.meanProbability, 1), (.vote, 0), (.depthWeighted, 0),
  ])
  func rulesDecide(rule: Aggregation, label: Int) {
    let answers =
      rule == .depthWeighted
      ? Self.answers.map { ShardAnswer(depth: 4 * $0.depth - 3, logits: $0.logits) } : Self.answers
    #expect(Aggregation.answer(rule.scores(of: answers)) == label)
  }

  @Test func scoresByHand() {
    let answers = [
      ShardAnswer(depth: 1, logits: [0, 0]),
      ShardAnswer(depth: 3, logits: [0, 1.0986122886681098]),
    ]
    let expected: [Aggregation: [Double]] = [
      .meanLogits: [0, 0.5493061443340549],
      // Probabilities ½ ½ and ¼ ¾.
      .meanProbability: [-0.9808292530117262, -0.4700036292457356],
      // Equal logits choose the first label.
      .vote: [1.375, 1.625],
      .depthWeighted: [0, 0.8239592165010823],
    ]
    for (rule, scores) in expected {
      for (found, wanted) in zip(rule.scores(of: answers), scores) {
        #expect(abs(found - wanted) < 1e-12, "\(rule)")
      }
    }
  }

  @Test(arguments: Aggregation.allCases)
  func oneShardDecidesAlone(rule: Aggregation) {
    for answer in Self.answers {
      #expect(Aggregation.answer(rule.scores(of: [answer])) == Aggregation.answer(answer.logits))
    }
  }

  @Test func certainShardsStayFinite() {
    let scores = Aggregation.meanProbability.scores(of: [
      ShardAnswer(depth: 1, logits: [900, -900]), ShardAnswer(depth: 1, logits: [800, -800]),
    ])
    #expect(scores.allSatisfy { $0.isFinite })
    #expect(Softmax.loss([900, -900], label: 1).isFinite)
  }
}
