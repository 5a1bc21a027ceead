import Hashing
import Ledger

/// A proof about the ledger in a file: that an entry is in it, or that it has only grown.
///
/// Sizes and roots stand in the checkpoints, in the text a witness signs, and nowhere beside it.
///
/// - SeeAlso: `Protocols/ledger.md`, which draws the bytes.
package struct LedgerProof: Codable, Equatable, Sendable {
  package enum Kind: String, Codable, Sendable {
    /// The ledger of `checkpoint` begins with that of `older`.
    case consistency
    /// The ledger of `checkpoint` holds `entry`.
    case inclusion
  }

  package struct Entry: Codable, Equatable, Sendable {
    package var index: UInt64
    /// The leaf hash; it stays when the entry's text is no longer kept.
    package var leaf: Digest
    package var text: String?
  }

  package var checkpoint: String
  /// Only in an inclusion proof.
  package var entry: Entry?
  package var format: String
  package var hashes: [Digest]
  package var kind: Kind
  /// Only in a consistency proof.
  package var older: String?
  /// SHA-256 of the canonical bytes without this field.
  package var sha256: Digest?
}

extension LedgerProof: SealedDocument {
  package static let formatName = "lethe-ledger-proof-1"

  /// Proves that the whole ledger begins with its first `oldSize` entries.
  ///
  /// - Precondition: `0 <= oldSize <= ledger.count`.
  package static func consistency(origin: String, ledger: MerkleTree, from oldSize: Int)
    -> LedgerProof
  {
    LedgerProof(
      checkpoint: ledger.checkpoint(origin, ledger.count).text,
      format: formatName,
      hashes: ledger.consistencyProof(from: oldSize, toFirst: ledger.count),
      kind: .consistency,
      older: ledger.checkpoint(origin, oldSize).text
    ).sealed()
  }

  /// Proves that the ledger holds the leaf at `index`.
  ///
  /// - Parameter entry: the leaf's entry, or `nil` when it is no longer kept.
  /// - Precondition: the ledger has that leaf, and it is that of `entry`.
  package static func inclusion(
    origin: String, ledger: MerkleTree, index: Int, entry: LedgerEntry?
  ) -> LedgerProof {
    let leaf = ledger.leafHashes[index]
    precondition(entry == nil || entry?.leafHash == leaf, "the entry at that index")
    return LedgerProof(
      checkpoint: ledger.checkpoint(origin, ledger.count).text,
      entry: Entry(index: UInt64(index), leaf: leaf, text: entry?.text),
      format: formatName,
      hashes: ledger.inclusionProof(of: index, inFirst: ledger.count),
      kind: .inclusion
    ).sealed()
  }
}

extension MerkleTree {
  fileprivate func checkpoint(_ origin: String, _ size: Int) -> Checkpoint {
    Checkpoint(origin: origin, size: UInt64(size), root: root(ofFirst: size))
  }
}
