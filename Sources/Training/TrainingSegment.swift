/// Records that are kept, cached and removed together: what one slice holds.
///
/// The order of its records is part of its content: activations are computed over fixed stretches
/// of it, and their bits depend on nothing outside it.
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

  /// What a cache has to count.
  package var byteCount: Int {
    activations.byteCount + labels.count * MemoryLayout<Int>.stride
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
