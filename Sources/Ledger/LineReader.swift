import Hashing

/// Reads lines that end in a line feed, as bytes: comparing Swift strings would call different
/// byte sequences equal.
struct LineReader {
  private var rest: ArraySlice<UInt8>
  private(set) var line = 0

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
  }

  /// The next line without its line feed; it must hold only printable ASCII.
  mutating func next(_ expected: String) throws(LedgerTextProblem) -> String {
    line += 1
    guard let end = rest.firstIndex(of: UInt8(ascii: "\n")),
      rest[..<end].allSatisfy({ (0x20...0x7e).contains($0) })
    else { throw .line(line, expected: expected) }
    defer { rest = rest[(end + 1)...] }
    return String(decoding: rest[..<end], as: UTF8.self)
  }

  /// The value of the next line, which is `key`, a space, and the value.
  mutating func value(_ key: String) throws(LedgerTextProblem) -> String {
    let text = try next(key)
    guard text.hasPrefix(key + " ") else { throw .line(line, expected: key) }
    return String(text.dropFirst(key.utf8.count + 1))
  }

  mutating func number<Value: FixedWidthInteger>(
    _ key: String, upTo limit: Value = .max
  ) throws(LedgerTextProblem) -> Value {
    guard let number = Value(canonicalDecimal: try value(key)), number <= limit else {
      throw .line(line, expected: key)
    }
    return number
  }

  mutating func digest(_ key: String) throws(LedgerTextProblem) -> Digest {
    let text = try value(key)
    guard let digest = Digest(hex: text), digest.hex == text else {
      throw .line(line, expected: key)
    }
    return digest
  }

  /// Whether the next line begins with `key` and a space.
  func isNext(_ key: String) -> Bool {
    rest.starts(with: (key + " ").utf8)
  }

  func finish() throws(LedgerTextProblem) {
    guard rest.isEmpty else { throw .trailing(line: line + 1) }
  }
}

extension FixedWidthInteger {
  /// Reads decimal digits without sign or leading zeros, the one way a number is written here.
  init?(canonicalDecimal text: String) {
    guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      text == "0" || text.utf8.first != UInt8(ascii: "0"), let value = Self(text)
    else { return nil }
    self = value
  }
}
