import Hashing

/// The head of a ledger at one size: what a witness remembers and a signature signs.
///
/// Its text is the body of a C2SP checkpoint, three lines that each end in a line feed:
///
/// ```
/// wordnet10
/// 20852163
/// CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
/// ```
///
/// - SeeAlso: `Protocols/ledger.md`; C2SP, tlog-checkpoint.
package struct Checkpoint: Equatable, Sendable {
  /// Which ledger; see `isOrigin`.
  package let origin: String
  /// How many entries it holds.
  package let size: UInt64
  package let root: Digest

  /// - Precondition: `isOrigin(origin)`.
  package init(origin: String, size: UInt64, root: Digest) {
    precondition(Self.isOrigin(origin), "an origin is a line of printable ASCII")
    self.origin = origin
    self.size = size
    self.root = root
  }

  /// Whether a text can name a ledger: 1 to 255 printable ASCII characters, no space at an end.
  package static func isOrigin(_ text: String) -> Bool {
    text.isPrintableLine
  }

  package var text: String {
    "\(origin)\n\(size)\n\(Base64.encode(root.bytes))\n"
  }

  /// Reads exactly what `text` writes.
  package init(text: String) throws(LedgerTextProblem) {
    var reader = LineReader(Array(text.utf8))
    let origin = try reader.next("origin")
    guard Self.isOrigin(origin) else { throw .line(1, expected: "origin") }
    guard let size = UInt64(canonicalDecimal: try reader.next("size")) else {
      throw .line(2, expected: "size")
    }
    guard let bytes = Base64.decode(try reader.next("root")), let root = Digest(bytes) else {
      throw .line(3, expected: "root")
    }
    try reader.finish()
    self.init(origin: origin, size: size, root: root)
  }
}

extension String {
  /// Whether this is 1 to 255 printable ASCII characters that neither begin nor end with a space.
  var isPrintableLine: Bool {
    (1...255).contains(utf8.count) && utf8.allSatisfy { (0x20...0x7e).contains($0) }
      && utf8.first != UInt8(ascii: " ") && utf8.last != UInt8(ascii: " ")
  }
}
