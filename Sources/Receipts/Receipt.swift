import Hashing
import Ledger

/// What a person who asked for a deletion is given: checkable without the run or a network.
///
/// It holds a commitment to the id, never the id. Its salt lets whoever has the receipt test
/// guesses for that one id, so a receipt is for the person it concerns; the other ids of the same
/// deletion stay closed. What it says follows from two ledger entries, and those from the
/// checkpoint.
///
/// - SeeAlso: `Protocols/receipt.md`, which draws the bytes.
package struct Receipt: Codable, Equatable, Sendable {
  package enum State: String, Codable, Sendable {
    /// No answer uses the records any more; bytes may still lie somewhere.
    case masked
    /// Purged, and every masked block replaced.
    case certified
  }

  /// The id's place among the commitments of its deletion.
  package struct Opening: Codable, Equatable, Sendable {
    package var commitment: Digest
    package var index: UInt64
    package var proof: [Digest]
    package var salt: Digest
  }

  package struct Masked: Codable, Equatable, Sendable {
    package var commitment: Digest
    package var sequence: UInt32
    package var shard: UInt32
    package var stage: UInt32
  }

  package struct Replacement: Codable, Equatable, Sendable {
    package var artifact: Digest
    package var key: Digest
    package var sequence: UInt32
    package var shard: UInt32
    package var stage: UInt32
  }

  package struct Erasure: Codable, Equatable, Sendable {
    package var level: String
    package var location: String
  }

  /// A ledger entry and its inclusion proof for the checkpoint.
  package struct Entry: Codable, Equatable, Sendable {
    package var index: UInt64
    package var proof: [Digest]
    package var text: String
  }

  /// RFC 3339, UTC; all but `accepted` are absent until the deletion is certified.
  package struct Times: Codable, Equatable, Sendable {
    package var accepted: String
    package var certified: String?
    package var masked: String?
    package var purged: String?
    package var repaired: String?
  }

  package var checkpoint: String
  package var deletion: UInt64
  /// The deletion's entry and, once there is one, its certificate.
  package var entries: [Entry]
  package var erasure: [Erasure]
  package var format: String
  package var id: Opening
  package var masked: [Masked]
  package var replacements: [Replacement]
  package var run: String
  /// SHA-256 of the canonical bytes without this field.
  package var sha256: Digest?
  package var state: State
  package var times: Times
}

extension Receipt: SealedDocument {
  package static let formatName = "lethe-receipt-1"
}

extension Receipt.Times {
  init(_ deletion: DeletionEntry, _ certificate: CertificateEntry?) {
    accepted = RFC3339.text(milliseconds: deletion.acceptedAt)
    certified = (certificate?.certifiedAt).map(RFC3339.text)
    masked = (certificate?.maskedAt).map(RFC3339.text)
    purged = (certificate?.purgedAt).map(RFC3339.text)
    repaired = (certificate?.repairedAt).map(RFC3339.text)
  }

  /// Every time that is there, to be compared as bytes.
  var all: [[UInt8]?] {
    [accepted, certified, masked, purged, repaired].map { $0.map { Array($0.utf8) } }
  }
}

extension Receipt.Masked {
  init(_ block: MaskedBlock) {
    commitment = block.commitment
    shard = UInt32(block.place.shard)
    sequence = UInt32(block.place.sequence)
    stage = UInt32(block.place.stage)
  }

  var block: MaskedBlock {
    MaskedBlock(
      place: BlockPlace(shard: Int(shard), sequence: Int(sequence), stage: Int(stage)),
      commitment: commitment)
  }
}

extension Receipt.Replacement {
  init(_ block: ReplacementBlock) {
    (artifact, key) = (block.artifact, block.key)
    shard = UInt32(block.place.shard)
    sequence = UInt32(block.place.sequence)
    stage = UInt32(block.place.stage)
  }

  var block: ReplacementBlock {
    ReplacementBlock(
      place: BlockPlace(shard: Int(shard), sequence: Int(sequence), stage: Int(stage)),
      key: key, artifact: artifact)
  }
}
