/// Which of a shard's prefixes answer.
///
/// Neither choice looks at data; both leave out every block that a deletion reached.
package enum ServingRule: String, Codable, CaseIterable, Sendable {
  /// The deepest one, ties to the lowest sequence (S3T).
  case deepest
  /// The longest of every sequence: as many answers as sequences, from blocks that stand anyway.
  case everySequence = "every-sequence"
}
