/// One text as the encoder reads it: token ids with their segment's type, special tokens included.
package struct TokenSequence: Hashable, Sendable {
  package var ids: [Int32]
  /// 0 for the first text, 1 for the second of a pair; as many as there are ids.
  package var typeIDs: [Int32]

  package init(ids: [Int32], typeIDs: [Int32]? = nil) {
    self.ids = ids
    self.typeIDs = typeIDs ?? Array(repeating: 0, count: ids.count)
    precondition(self.typeIDs.count == ids.count)
  }

  package var count: Int { ids.count }
}

/// Records that are kept, cached and removed together: what one slice holds.
///
/// The order of its records is part of its content: activations are computed over fixed stretches of
/// it, and their bits depend on nothing outside it.
package struct TrainingSegment: Sendable {
  /// One label index per record.
  package var labels: [Int]
  package var activations: PrefixActivations

  /// - Precondition: as many labels as the activations have records.
  package init(labels: [Int], activations: PrefixActivations) {
    precondition(labels.count == activations.recordCount)
    self.labels = labels
    self.activations = activations
  }
}

/// A record's place among a stage's segments.
package struct RecordPosition: Hashable, Sendable {
  package var segment: Int
  package var index: Int

  package init(segment: Int, index: Int) {
    self.segment = segment
    self.index = index
  }
}
