import Hashing

/// One leaf of the ledger: a deletion as it was accepted, or its certificate.
///
/// An entry names counts, times and roots of lists, never an id or a text. Its bytes are lines of
/// ASCII, drawn in `Protocols/ledger.md`; a value has exactly one text.
package enum LedgerEntry: Equatable, Sendable {
  case deletion(DeletionEntry)
  case certificate(CertificateEntry)
}

/// A deletion was accepted, and from that moment its blocks were masked.
package struct DeletionEntry: Equatable, Sendable {
  package let number: UInt64
  /// Milliseconds since 1970, UTC.
  package let acceptedAt: Int64
  package let records: Int
  /// The Merkle root whose leaves are the 32-byte commitments of the records' ids.
  package let commitments: Digest
  package let blocksMasked: Int
  /// The Merkle root whose leaves are the lines of the blocks that stopped serving.
  package let masked: Digest

  /// - Precondition: no count is negative and the time lies in years 1970 to 9999.
  package init(
    number: UInt64, acceptedAt: Int64, records: Int, commitments: Digest, blocksMasked: Int,
    masked: Digest
  ) {
    precondition(records >= 0 && blocksMasked >= 0, "counts are not negative")
    precondition(LedgerEntry.times.contains(acceptedAt), "a time from 1970 to 9999")
    self.number = number
    self.acceptedAt = acceptedAt
    self.records = records
    self.commitments = commitments
    self.blocksMasked = blocksMasked
    self.masked = masked
  }
}

/// A deletion is done: purged where it said, and every masked block replaced.
///
/// The times are in no required order, as a machine's clock may have been set back in between.
package struct CertificateEntry: Equatable, Sendable {
  package let number: UInt64
  package let maskedAt: Int64
  package let purgedAt: Int64
  package let repairedAt: Int64
  package let certifiedAt: Int64
  /// What is claimed for each place that held record bytes, in the order of the claims.
  package let erasure: [ErasureClaim]
  package let replacements: Int
  /// The Merkle root whose leaves are the lines of the replacement blocks.
  package let replacementsRoot: Digest

  /// - Precondition: `replacements` is not negative and every time lies in years 1970 to 9999.
  package init(
    number: UInt64, maskedAt: Int64, purgedAt: Int64, repairedAt: Int64, certifiedAt: Int64,
    erasure: [ErasureClaim], replacements: Int, replacementsRoot: Digest
  ) {
    precondition(replacements >= 0, "counts are not negative")
    let times = [maskedAt, purgedAt, repairedAt, certifiedAt]
    precondition(times.allSatisfy(LedgerEntry.times.contains), "times from 1970 to 9999")
    self.number = number
    self.maskedAt = maskedAt
    self.purgedAt = purgedAt
    self.repairedAt = repairedAt
    self.certifiedAt = certifiedAt
    self.erasure = erasure
    self.replacements = replacements
    self.replacementsRoot = replacementsRoot
  }
}

/// How far record bytes were erased from one place.
package enum ErasureLevel: String, CaseIterable, Sendable {
  /// Serving cannot reach them.
  case unreachable = "E0"
  /// The file is unlinked and a scan of the catalogue found none that was not.
  case unlinked = "E1"
  /// The key that encrypted them is destroyed.
  case keyDestroyed = "E2"
  /// The operator attests what happened to the medium.
  case mediaAttested = "E3"
}

package struct ErasureClaim: Equatable, Sendable {
  package let location: String
  package let level: ErasureLevel

  /// - Precondition: `isLocation(location)`.
  package init(location: String, level: ErasureLevel) {
    precondition(Self.isLocation(location), "a location is a line of printable ASCII")
    self.location = location
    self.level = level
  }

  /// Whether a text can name a place: 1 to 255 printable ASCII characters, no space at an end.
  package static func isLocation(_ text: String) -> Bool {
    text.isPrintableLine
  }
}

extension LedgerEntry {
  /// Milliseconds since 1970 whose year has four digits, so that RFC 3339 can write them.
  package static let times: ClosedRange<Int64> = 0...253_402_300_799_999

  package var number: UInt64 {
    switch self {
    case .deletion(let entry): entry.number
    case .certificate(let entry): entry.number
    }
  }
}
