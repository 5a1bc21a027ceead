internal import Numerics
package import Unlearning

extension Aggregation {
  /// One score per label; the highest, and of equals the first, is the answer.
  ///
  /// - `meanLogits`: the mean of the logits.
  /// - `meanProbability`: the logarithm of the mean probability, so that scores are logits again.
  /// - `vote`: how many rows choose the label, plus its mean probability, which settles ties.
  ///
  /// - Parameter rows: logits, one row per shard that answers, at least one; added in their order.
  package func scores(of rows: [[Double]]) -> [Double] {
    switch self {
    case .meanLogits: return Self.mean(rows)
    case .meanProbability:
      return Self.mean(rows.map(Softmax.probabilities)).map {
        Elementary.log(max($0, .leastNormalMagnitude))
      }
    case .vote:
      var scores = Self.mean(rows.map(Softmax.probabilities))
      for row in rows { scores[Self.answer(row)] += 1 }
      return scores
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
