import ByteCoding
import Hashing
import Unlearning

/// A durable fact that changes no block: about salts, about who asked, about an earlier run.
package enum RunNote: Equatable, Sendable {
  /// From here on the file `salts` must hold these.
  case salts([SaltCheck])
  /// Someone had the salt of a deletion erased; the journal says so before the bytes go.
  case saltErased(deletion: UInt64, at: Milliseconds)
  /// Who asked for a deletion, and why; in no ledger entry and no receipt.
  case origin(deletion: UInt64, DeletionOrigin)
  /// Records that an earlier run over the same data had deleted; this one never took them in.
  case tombstones([RecordTag])
}

/// Recognises one deletion's salt without saying it.
package struct SaltCheck: Equatable, Sendable {
  package let deletion: UInt64
  package let digest: Digest

  package init(deletion: UInt64, digest: Digest) {
    self.deletion = deletion
    self.digest = digest
  }

  /// The salt is 32 random bytes, so its hash helps nobody to guess it once it is erased.
  package init(deletion: UInt64, salt: Digest) {
    self.init(deletion: deletion, digest: Self.digest(of: salt))
  }

  package static func digest(of salt: Digest) -> Digest {
    SHA256.hash(Array("lethe-salt-check-1".utf8) + salt.bytes)
  }
}

/// Who asked for a deletion, under which ticket, and why.
package struct DeletionOrigin: Equatable, Sendable {
  /// The name of the key, or `token` for the run's own.
  package let askedBy: String
  package let ticket: String?
  package let reason: String?

  package static let ticketByteCountLimit = 128
  package static let reasonByteCountLimit = 1024

  package init(askedBy: String, ticket: String? = nil, reason: String? = nil) {
    self.askedBy = askedBy
    self.ticket = ticket
    self.reason = reason
  }
}

/// What the journal knows of the file `salts`.
package struct SaltRegister: Equatable, Sendable {
  package internal(set) var checks: [UInt64: Digest] = [:]
  package internal(set) var erased: Set<UInt64> = []

  package init() {}

  /// What has become of a salt.
  package enum Standing: Equatable, Sendable {
    case present(Digest)
    case erased
    /// The journal expects one, and the file has none or another.
    case lost
    /// It is not there, and a build that kept no account may have erased it.
    case unknown
  }

  package func standing(ofDeletion number: UInt64, in salts: [UInt64: Digest]) -> Standing {
    if erased.contains(number) { return .erased }
    guard let salt = salts[number] else { return checks[number] == nil ? .unknown : .lost }
    guard let check = checks[number] else { return .present(salt) }
    return check == SaltCheck.digest(of: salt) ? .present(salt) : .lost
  }

  /// Deletions whose salt the file should have and has not, ascending.
  package func lost(from salts: [UInt64: Digest]) -> [UInt64] {
    checks.keys.filter { standing(ofDeletion: $0, in: salts) == .lost }.sorted()
  }
}

extension RunState {
  mutating func apply(_ note: RunNote) {
    switch note {
    case .salts(let checks):
      for check in checks { salts.checks[check.deletion] = check.digest }
    case .saltErased(let number, _): salts.erased.insert(number)
    case .origin(let number, let origin): origins[number] = origin
    case .tombstones(let tags): importedTombstones.formUnion(tags)
    }
  }
}

// MARK: - Bytes

extension RunNote {
  func encode(into writer: inout CanonicalWriter) {
    switch self {
    case .salts(let checks):
      writer.write(UInt8(1))
      writer.write(checks) { $0.write($1) }
    case .saltErased(let number, let at):
      writer.write(UInt8(2))
      writer.write(number)
      writer.write(at)
    case .origin(let number, let origin):
      writer.write(UInt8(3))
      writer.write(number)
      writer.write(origin)
    case .tombstones(let tags):
      writer.write(UInt8(4))
      writer.write(tags) { $0.write($1.digest) }
    }
  }

  init(from reader: inout CanonicalReader) throws(DecodingFailure) {
    switch try reader.readInteger(UInt8.self) {
    case 1:
      self = .salts(
        try reader.readArray { (reader) throws(DecodingFailure) in try reader.readSaltCheck() })
    case 2:
      self = .saltErased(deletion: try reader.readInteger(), at: try reader.readMilliseconds())
    case 3: self = .origin(deletion: try reader.readInteger(), try reader.readOrigin())
    case 4:
      self = .tombstones(
        try reader.readArray { (reader) throws(DecodingFailure) in
          RecordTag(try reader.readDigest())
        })
    default: throw .invalid(what: "kind of a note", atByte: 0)
    }
  }
}

extension CanonicalWriter {
  mutating func write(_ check: SaltCheck) {
    write(check.deletion)
    write(check.digest)
  }

  mutating func write(_ origin: DeletionOrigin) {
    write(origin.askedBy)
    write(origin.ticket) { $0.write($1) }
    write(origin.reason) { $0.write($1) }
  }
}

extension CanonicalReader {
  mutating func readSaltCheck() throws(DecodingFailure) -> SaltCheck {
    SaltCheck(deletion: try readInteger(), digest: try readDigest())
  }

  mutating func readOrigin() throws(DecodingFailure) -> DeletionOrigin {
    func text(_ reader: inout CanonicalReader) throws(DecodingFailure) -> String? {
      try reader.readOptional { (reader) throws(DecodingFailure) in try reader.readString() }
    }
    return DeletionOrigin(
      askedBy: try readString(), ticket: try text(&self), reason: try text(&self))
  }
}
