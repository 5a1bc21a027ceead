/// How the answers of a run's shards become one.
///
/// Every rule looks at the shards' logits and depths alone, so it can be changed without training
/// anything.
package enum Aggregation: String, Codable, CaseIterable, Sendable {
  case meanLogits = "mean-logits"
  case meanProbability = "mean-probability"
  case vote
  case depthWeighted = "depth-weighted"

  /// Whether the rule makes sense of numbers, as a regression answers with.
  package var averagesNumbers: Bool { self == .meanLogits || self == .depthWeighted }
}
