internal import Numerics
package import Unlearning

/// What one shard says of a text.
package struct ShardAnswer: Equatable, Sendable {
  /// Blocks of the prefix that answered.
  package let depth: Int
  /// One per label.
  package let logits: [Double]

  package init(depth: Int, logits: [Double]) {
    self.depth = depth
    self.logits = logits
  }
}

extension Aggregation {
  /// One score per label; the highest, and of equals the first, is the answer.
  ///
  /// - `meanLogits`: the mean of the logits.
  /// - `meanProbability`: the logarithm of the mean probability, so that scores are logits again.
  /// - `vote`: how many shards choose the label, plus its mean probability, which settles ties.
  /// - `depthWeighted`: the mean of the logits, a shard counting as often as it has blocks.
  ///
  /// - Parameter answers: of the shards that serve, at least one; added in their order.
  package func scores(of answers: [ShardAnswer]) -> [Double] {
    switch self {
    case .meanLogits: return Self.mean(answers.map(\.logits))
    case .meanProbability:
      return Self.mean(answers.map { Softmax.probabilities($0.logits) }).map {
        Elementary.log(max($0, .leastNormalMagnitude))
      }
    case .vote:
      var scores = Self.mean(answers.map { Softmax.probabilities($0.logits) })
      for answer in answers { scores[Self.answer(answer.logits)] += 1 }
      return scores
    case .depthWeighted:
      let whole = Double(answers.reduce(0) { $0 + $1.depth })
      var sums = [Double](repeating: 0, count: answers[0].logits.count)
      for answer in answers {
        for (label, logit) in answer.logits.enumerated() {
          sums[label] += Double(answer.depth) / whole * logit
        }
      }
      return sums
    }
  }

  /// The label that scores choose.
  package static func answer(_ scores: [Double]) -> Int {
    scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
  }

  private static func mean(_ rows: [[Double]]) -> [Double] {
    var sums = [Double](repeating: 0, count: rows[0].count)
    for row in rows {
      for (label, value) in row.enumerated() { sums[label] += value }
    }
    return sums.map { $0 / Double(rows.count) }
  }
}
