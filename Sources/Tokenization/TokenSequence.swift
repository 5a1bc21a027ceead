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
}
