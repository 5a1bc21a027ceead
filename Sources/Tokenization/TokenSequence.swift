/// A text as a model reads it.
package struct TokenSequence: Hashable, Sendable {
  /// Rows of the word embedding table, special tokens included.
  package var ids: [Int32]
  /// 0 for the first text with its special tokens, 1 for the second; as long as `ids`.
  package var typeIDs: [Int32]

  package init(ids: [Int32], typeIDs: [Int32]? = nil) {
    self.ids = ids
    self.typeIDs = typeIDs ?? Array(repeating: 0, count: ids.count)
    precondition(self.typeIDs.count == ids.count)
  }

  package var count: Int { ids.count }

  /// How many tokens of each text stay when together they may have `limit`.
  ///
  /// With both cut, the odd token goes to the text that was longer; to the second if neither was.
  static func longestFirst(_ first: Int, _ second: Int, limit: Int) -> (first: Int, second: Int) {
    if first + second <= limit { return (first, second) }
    let shorter = min(first, second)
    let half = limit / 2
    let kept = shorter <= half ? (shorter, limit - shorter) : (half, limit - half)
    return first > second ? (kept.1, kept.0) : kept
  }
}
