/// Names one record, or one person; compared as bytes.
///
/// Two ids that a reader cannot tell apart (a letter with an accent, and a letter followed by one)
/// are two ids: Swift's `String` would call them equal, and a deletion could reach the wrong
/// record.
package struct RecordID: Hashable, Comparable, Sendable {
  package static let byteLimit = 256

  /// 1 to 256 bytes of UTF-8 without control characters.
  package let bytes: [UInt8]

  package init(_ bytes: some Collection<UInt8>) throws(RecordIDProblem) {
    let bytes = Array(bytes)
    guard !bytes.isEmpty else { throw .empty }
    guard bytes.count <= Self.byteLimit else { throw .tooLong(byteCount: bytes.count) }
    for (index, byte) in bytes.enumerated() {
      // U+0080 to U+009F are two bytes: 0xc2 and the number itself.
      let follows = index > 0 && bytes[index - 1] == 0xc2
      guard byte >= 0x20, byte != 0x7f, !(follows && (0x80...0x9f).contains(byte)) else {
        throw .controlCharacter
      }
    }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
    self.bytes = bytes
  }

  package init(_ text: String) throws(RecordIDProblem) {
    try self.init(Array(text.utf8))
  }

  /// For people; equal texts need not be equal ids.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  package static func < (left: Self, right: Self) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

/// Why bytes cannot name a record.
package enum RecordIDProblem: Error, Equatable, Sendable {
  case empty
  case tooLong(byteCount: Int)
  case notUTF8
  case controlCharacter
}
