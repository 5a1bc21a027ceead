import ByteCoding
import CoordinatorCore
import Hashing

/// Sixteen bytes that name a key; they are no secret.
package struct KeyID: Hashable, Comparable, Sendable {
  package static let byteCount = 16

  // Big-endian words, so that comparing words compares bytes.
  private let high: UInt64
  private let low: UInt64

  /// Takes exactly 16 bytes; anything else is not a key's name.
  package init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    func word(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    high = word(bytes.prefix(8))
    low = word(bytes.dropFirst(8))
  }

  /// Reads 32 lower-case or upper-case hexadecimal digits.
  package init?(hex: some StringProtocol) {
    guard let bytes = Array(hex: hex) else { return nil }
    self.init(bytes)
  }

  package var bytes: [UInt8] {
    [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
  }

  /// 32 lower-case digits.
  package var hex: String { bytes.hex }

  package static func < (left: KeyID, right: KeyID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

extension KeyID {
  /// Its holder, as the coordinator's core knows peers.
  package var identity: PeerIdentity { PeerIdentity(bytes) }
}

extension KeyID: CustomStringConvertible {
  package var description: String { hex }
}

/// What the holder of a key may do.
package enum KeyRole: String, CaseIterable, Sendable {
  /// Trains and serves.
  case worker
  /// Answers predictions and never sees a record of the training set.
  case serve
  /// Directs the run over HTTP; no use on the wire, as all that follow.
  case `operator`
  /// Looks at how the run stands.
  case reader
  /// Has texts classified, and sees nothing else.
  case predictor
  /// Reads receipts, lineage and the ledger, and has blocks trained again to compare.
  case auditor
  /// Deletes records and reads their receipts.
  case deleter
}

/// A secret that coordinator and worker share, with the name and the rights of its holder.
///
/// One line of a key file: `lethe-key-1 <id hex> <role> <name> <secret hex>` and a line feed.
package struct PeerKey: Equatable, Sendable {
  package static let secretByteCount = 32
  package static let nameByteCountLimit = 64

  package let id: KeyID
  package let role: KeyRole
  /// 1 to 64 of `A-Z a-z 0-9 . _ -`.
  package let name: String
  /// 32 bytes.
  package let secret: [UInt8]

  /// `nil` if the name or the secret is none.
  package init?(id: KeyID, role: KeyRole, name: String, secret: [UInt8]) {
    guard Self.isName(name), secret.count == Self.secretByteCount else { return nil }
    self.init(checkedID: id, role: role, name: name, secret: secret)
  }

  private init(checkedID id: KeyID, role: KeyRole, name: String, secret: [UInt8]) {
    self.id = id
    self.role = role
    self.name = name
    self.secret = secret
  }

  /// The key everybody knows: all zeros. For a coordinator on loopback that was given no keys.
  package static let development = PeerKey(
    checkedID: KeyID([UInt8](repeating: 0, count: KeyID.byteCount))!, role: .worker,
    name: "development", secret: [UInt8](repeating: 0, count: secretByteCount))

  /// Reads one line, with or without its line end, behind a byte order mark or none.
  package init?(line: String) {
    var lines = TextLines(Array(line.utf8))
    guard let first = lines.next(), lines.isAtEnd else { return nil }
    let text = String(decoding: first.bytes, as: UTF8.self)
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 5, words[0] == "lethe-key-1", let id = KeyID(hex: words[1]),
      let role = KeyRole(rawValue: String(words[2])), let secret = Array(hex: words[4])
    else { return nil }
    self.init(id: id, role: role, name: String(words[3]), secret: secret)
  }

  /// The line of a key file, with its line feed.
  package var line: String { "lethe-key-1 \(id.hex) \(role.rawValue) \(name) \(secret.hex)\n" }

  package static func isName(_ name: String) -> Bool {
    (1...nameByteCountLimit).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}

extension PeerKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Without the secret, so that no log line can hold it.
  package var description: String { "\(name) (\(role.rawValue) \(id.hex))" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: ["id": id, "name": name]) }
}
