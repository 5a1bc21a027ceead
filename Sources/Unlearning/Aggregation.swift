/// How the answers of a run's shards become one.
///
/// Every rule looks at the shards' logits alone, so it can be changed without training anything.
package enum Aggregation: String, Codable, CaseIterable, Sendable {
  case meanLogits = "mean-logits"
  case meanProbability = "mean-probability"
  case vote
}
