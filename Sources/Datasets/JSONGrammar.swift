/// JSON's numbers (RFC 8259, section 6), byte by byte.
enum JSONGrammar {
  static func isNumber(_ bytes: some Collection<UInt8>) -> Bool {
    var rest = bytes[...]
    guard takeInteger(&rest) else { return false }
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      guard takeDigits(&rest) else { return false }
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") {
        rest = rest.dropFirst()
      }
      guard takeDigits(&rest) else { return false }
    }
    return rest.isEmpty
  }

  /// A number without fraction and exponent, so that its digits are its one spelling.
  static func isInteger(_ bytes: some Collection<UInt8>) -> Bool {
    var rest = bytes[...]
    return takeInteger(&rest) && rest.isEmpty
  }

  private static func takeInteger<Bytes: Collection<UInt8>>(_ rest: inout Bytes) -> Bool
  where Bytes.SubSequence == Bytes {
    if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
    if rest.first == UInt8(ascii: "0") {
      rest = rest.dropFirst()
      return true
    }
    return takeDigits(&rest)
  }

  private static func takeDigits<Bytes: Collection<UInt8>>(_ rest: inout Bytes) -> Bool
  where Bytes.SubSequence == Bytes {
    let after = rest.drop { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    defer { rest = after }
    return after.startIndex != rest.startIndex
  }
}
