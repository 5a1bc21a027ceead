/// Reads the JSON object of one line into the fields of a record.
///
/// Written out because the library's two parsers disagree on repeated keys (one takes the first,
/// the other the last) and a data set must mean one thing. Keys are compared as the bytes they
/// decode to.
struct JSONLineScanner {
  /// Where and how a line stops being a JSON object; offsets count from the line's start.
  enum Failure: Error {
    case notAnObject
    case mistake(DatasetProblem.JSONMistake, atByte: Int)
    case duplicateKey(DatasetField?)
  }

  private let bytes: [UInt8]
  private let start: Int
  private let end: Int
  private var position: Int

  /// - Precondition: the range is well-formed UTF-8.
  init(_ bytes: [UInt8], in range: Range<Int>) {
    self.bytes = bytes
    start = range.lowerBound
    end = range.upperBound
    position = start
  }

  mutating func scan() throws(Failure) -> RawFields {
    var fields = RawFields()
    /// A bit a field.
    var seen = 0
    var unknown: Set<[UInt8]> = []
    skipSpace()
    guard take(UInt8(ascii: "{")) else { throw .notAnObject }
    skipSpace()
    if !take(UInt8(ascii: "}")) {
      repeat {
        skipSpace()
        guard peek() == UInt8(ascii: "\"") else { throw failure(.expectedKey) }
        let key = try scanString()
        skipSpace()
        guard take(UInt8(ascii: ":")) else { throw failure(.expectedColon) }
        skipSpace()
        if let field = DatasetField(name: key) {
          guard seen >> field.index & 1 == 0 else { throw .duplicateKey(field) }
          seen |= 1 << field.index
          fields[field] = try scanValue(depth: 0)
        } else {
          guard unknown.insert(key).inserted else { throw .duplicateKey(nil) }
          _ = try scanValue(depth: 0)
        }
        skipSpace()
      } while take(UInt8(ascii: ","))
      guard take(UInt8(ascii: "}")) else { throw failure(.expectedComma) }
    }
    skipSpace()
    guard position == end else { throw failure(.trailing) }
    fields.hasUnknownFields = !unknown.isEmpty
    return fields
  }

  // MARK: Values

  /// One value of any kind; `nil` for `null`.
  private mutating func scanValue(depth: Int) throws(Failure) -> RawValue? {
    guard let first = peek() else { throw failure(.expectedValue) }
    switch first {
    case UInt8(ascii: "\""): return .string(try scanString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try scanNumber())
    case UInt8(ascii: "t"):
      try expect("true")
      return .other
    case UInt8(ascii: "f"):
      try expect("false")
      return .other
    case UInt8(ascii: "n"):
      try expect("null")
      return nil
    case UInt8(ascii: "["), UInt8(ascii: "{"):
      try skipNested(depth: depth + 1)
      return .other
    default: throw failure(.expectedValue)
    }
  }

  /// An array or object that no field takes: checked and passed over.
  private mutating func skipNested(depth: Int) throws(Failure) {
    guard depth <= DatasetLimits.jsonDepth else { throw failure(.tooDeep) }
    let isObject = peek() == UInt8(ascii: "{")
    let closing = isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
    position += 1
    skipSpace()
    if take(closing) { return }
    repeat {
      skipSpace()
      if isObject {
        guard peek() == UInt8(ascii: "\"") else { throw failure(.expectedKey) }
        _ = try scanString()
        skipSpace()
        guard take(UInt8(ascii: ":")) else { throw failure(.expectedColon) }
        skipSpace()
      }
      _ = try scanValue(depth: depth)
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(closing) else { throw failure(.expectedComma) }
  }

  private mutating func scanNumber() throws(Failure) -> [UInt8] {
    let from = position
    while let byte = peek(), Self.isNumberByte(byte) { position += 1 }
    let digits = Array(bytes[from..<position])
    guard JSONGrammar.isNumber(digits) else {
      position = from
      throw failure(.badNumber)
    }
    return digits
  }

  private static func isNumberByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }

  // MARK: Strings

  private mutating func scanString() throws(Failure) -> [UInt8] {
    position += 1
    let from = position
    // Most strings have no escape and are copied whole.
    while let byte = peek(), byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
      position += 1
    }
    var text = Array(bytes[from..<position])
    while true {
      guard let byte = peek() else { throw failure(.unexpectedEnd) }
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return text
      case UInt8(ascii: "\\"): try scanEscape(into: &text)
      case ..<0x20: throw failure(.controlCharacter)
      default:
        text.append(byte)
        position += 1
      }
    }
  }

  private mutating func scanEscape(into text: inout [UInt8]) throws(Failure) {
    position += 1
    guard let letter = peek() else { throw failure(.unexpectedEnd) }
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0c)
    case UInt8(ascii: "n"): text.append(0x0a)
    case UInt8(ascii: "r"): text.append(0x0d)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      let scalar = try scanUnicodeEscape()
      text.append(contentsOf: String(scalar).utf8)
      return
    default: throw failure(.badEscape)
    }
    position += 1
  }

  /// From the `u` on; joins the two halves of a surrogate pair.
  private mutating func scanUnicodeEscape() throws(Failure) -> Unicode.Scalar {
    let at = position - 1
    let first = try scanHexDigits()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xdc00, take(UInt8(ascii: "\\")), peek() == UInt8(ascii: "u") else {
      throw .mistake(.loneSurrogate, atByte: at - start)
    }
    let second = try scanHexDigits()
    guard (0xdc00...0xdfff).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    else { throw .mistake(.loneSurrogate, atByte: at - start) }
    return scalar
  }

  /// The `u` and four digits.
  private mutating func scanHexDigits() throws(Failure) -> UInt32 {
    position += 1
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek() else { throw failure(.unexpectedEnd) }
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - 0x30)
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - 0x61 + 10)
      case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - 0x41 + 10)
      default: throw failure(.badEscape)
      }
      position += 1
    }
    return value
  }

  // MARK: Bytes

  private func failure(_ mistake: DatasetProblem.JSONMistake) -> Failure {
    .mistake(position < end ? mistake : .unexpectedEnd, atByte: position - start)
  }

  private func peek() -> UInt8? {
    position < end ? bytes[position] : nil
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ word: String) throws(Failure) {
    for byte in word.utf8 {
      guard take(byte) else { throw failure(.expectedValue) }
    }
  }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0d { position += 1 }
  }
}
