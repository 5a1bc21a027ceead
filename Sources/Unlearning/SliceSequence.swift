/// An order in which a shard's slices are trained.
package struct SliceSequence: Hashable, Sendable {
  /// A permutation of `0 ..< sliceCount`.
  package let order: [Int]

  package init(_ order: [Int]) {
    self.order = order
  }

  /// How many blocks of this sequence no tainted slice has reached.
  package func survivingPrefixCount(tainted: Set<Int>) -> Int {
    order.firstIndex(where: tainted.contains) ?? order.count
  }

  /// Rotations first, then rotations of ever shorter suffixes, so that later sequences share
  /// trained prefixes with earlier ones.
  ///
  /// For `count` up to the number of slices each slice stands first at most once, which is the best
  /// choice without knowledge of who will leave (S3T, arXiv 2406.16257). Fewer than `count` are
  /// returned only where no further order exists.
  package static func cyclic(sliceCount: Int, count: Int) -> [SliceSequence] {
    var sequences: [SliceSequence] = []
    var known: Set<SliceSequence> = []
    func add(_ order: [Int]) {
      let sequence = SliceSequence(order)
      if sequences.count < count, known.insert(sequence).inserted { sequences.append(sequence) }
    }
    add(Array(0..<max(sliceCount, 0)))
    for keptCount in 0..<max(sliceCount, 1) {
      for sequence in sequences where sequences.count < count {
        let (kept, suffix) = (sequence.order.prefix(keptCount), sequence.order.dropFirst(keptCount))
        for shift in 0..<suffix.count {
          add(Array(kept) + Array(suffix.dropFirst(shift)) + Array(suffix.prefix(shift)))
        }
      }
    }
    return sequences
  }
}
