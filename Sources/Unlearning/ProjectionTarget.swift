/// A linear projection of a transformer layer that can carry an adapter.
///
/// The raw value is the module's path inside a BERT-family layer, without `self`. The order of the
/// cases is the order of adapters in every artifact.
package enum ProjectionTarget: String, CaseIterable, Codable, Sendable {
  case query
  case key
  case value
  case attentionOutput = "attention.output.dense"
  case intermediate = "intermediate.dense"
  case output = "output.dense"

  /// Its place in the canonical order.
  package var ordinal: Int { Self.allCases.firstIndex(of: self)! }
}

extension ProjectionTarget: Comparable {
  package static func < (left: Self, right: Self) -> Bool { left.ordinal < right.ordinal }
}
