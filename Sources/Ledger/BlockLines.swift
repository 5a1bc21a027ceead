import Hashing

/// Where a block stands in the plan.
package struct BlockPlace: Hashable, Comparable, Sendable {
  package let shard: Int
  package let sequence: Int
  package let stage: Int

  /// - Precondition: three numbers of 32 bits.
  package init(shard: Int, sequence: Int, stage: Int) {
    precondition([shard, sequence, stage].allSatisfy { UInt32(exactly: $0) != nil }, "a place")
    self.shard = shard
    self.sequence = sequence
    self.stage = stage
  }

  /// `shard/sequence/stage`, in decimal.
  package var text: String { "\(shard)/\(sequence)/\(stage)" }

  package static func < (left: BlockPlace, right: BlockPlace) -> Bool {
    (left.shard, left.sequence, left.stage) < (right.shard, right.sequence, right.stage)
  }
}

/// A block that a deletion stopped from serving.
///
/// Its key follows from the records it read, so the ledger holds only a commitment to the key.
package struct MaskedBlock: Hashable, Sendable {
  package let place: BlockPlace
  /// See `BlockCommitment`.
  package let commitment: Digest

  package init(place: BlockPlace, commitment: Digest) {
    self.place = place
    self.commitment = commitment
  }

  package var line: String { "\(place.text) \(commitment.hex)" }

  package var leafHash: Digest { MerkleTree.leafHash(Array(line.utf8)) }
}

/// A block trained without the deleted records, in the place of a masked one.
package struct ReplacementBlock: Hashable, Sendable {
  package let place: BlockPlace
  package let key: Digest
  package let artifact: Digest

  package init(place: BlockPlace, key: Digest, artifact: Digest) {
    self.place = place
    self.key = key
    self.artifact = artifact
  }

  package var line: String { "\(place.text) \(key.hex) \(artifact.hex)" }

  package var leafHash: Digest { MerkleTree.leafHash(Array(line.utf8)) }
}
