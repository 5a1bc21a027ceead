/// JSON as people like to write it (JSON5), rewritten as JSON.
///
/// The library's own JSON5 reader ends the process on a number such as `2e-` or a name that is not
/// UTF-8, which a typing mistake is enough for.
///
/// Infinity, NaN and names with escapes have no use here and are refused.
///
/// - SeeAlso: spec.json5.org
package enum JSON5 {
  /// The same text with comments blanked, strings in double quotes, names quoted, numbers as JSON
  /// spells them and no comma before a closing bracket.
  ///
  /// Only tokens are judged; what they add up to is for whoever parses the result. A line stays a
  /// line, but for a string that goes over several. JSON comes back as it is.
  package static func plainJSON(_ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
    var rewriter = Rewriter(bytes: bytes)
    return try rewriter.rewrite()
  }

  private struct Rewriter {
    let bytes: [UInt8]
    var offset = 0
    var out: [UInt8] = []
    /// Where in `out` a comma stands that followed a value, with nothing but space behind it yet.
    var comma: Int?
    /// Whether the last token ends a value.
    var isBehindValue = false

    init(bytes: [UInt8]) {
      self.bytes = bytes
      out.reserveCapacity(bytes.count)
    }

    var next: UInt8? { peek(0) }

    func peek(_ distance: Int) -> UInt8? {
      offset + distance < bytes.count ? bytes[offset + distance] : nil
    }

    func failure(_ reason: String) -> JSONError { JSONError(byteOffset: offset, reason: reason) }

    mutating func rewrite() throws(JSONError) -> [UInt8] {
      while let byte = next {
        if try takeSpace() { continue }
        let trailing = comma
        comma = nil
        switch byte {
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          if let trailing { out[trailing] = UInt8(ascii: " ") }
          copy()
        case UInt8(ascii: ","):
          if isBehindValue { comma = out.count }
          copy()
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"): copy()
        case UInt8(ascii: "\""), UInt8(ascii: "'"): try string(quote: byte)
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          try number()
        default: try name()
        }
        isBehindValue = !",{[:".utf8.contains(byte)
      }
      return out
    }

    mutating func copy() {
      out.append(bytes[offset])
      offset += 1
    }

    // MARK: Space

    /// Takes one space character or comment, if there is one.
    mutating func takeSpace() throws(JSONError) -> Bool {
      switch (next, peek(1)) {
      case (9, _), (10, _), (13, _), (32, _): copy()
      case (11, _), (12, _): blank()
      case (UInt8(ascii: "/"), UInt8(ascii: "/")):
        while let byte = next, byte != 10, byte != 13, !isSeparator { blank() }
      case (UInt8(ascii: "/"), UInt8(ascii: "*")):
        blank()
        repeat {
          guard next != nil else { throw failure("a comment has no end") }
          blank()
        } while next != UInt8(ascii: "*") || peek(1) != UInt8(ascii: "/")
        blank()
        blank()
      default:
        guard let scalar = scalar(), Self.isSpace(scalar) else { return false }
        for _ in 0..<UTF8.width(scalar) { blank() }
      }
      return true
    }

    /// The scalar beyond ASCII that begins here; `nil` where there is none.
    private func scalar() -> Unicode.Scalar? {
      guard let next, next >= 0x80 else { return nil }
      var decoder = UTF8()
      var rest = bytes[offset...].prefix(4).makeIterator()
      guard case .scalarValue(let scalar) = decoder.decode(&rest) else { return nil }
      return scalar
    }

    /// Whether U+2028 or U+2029, which end a comment as a line feed does, begins here.
    private var isSeparator: Bool { scalar().map { $0 == "\u{2028}" || $0 == "\u{2029}" } ?? false }

    /// JSON5's white space beyond ASCII: U+FEFF, both separators, and every `Zs`.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      switch scalar {
      case "\u{feff}", "\u{2028}", "\u{2029}": true
      default: scalar.properties.generalCategory == .spaceSeparator
      }
    }

    /// A space for a byte of a comment, unless it ends a line.
    mutating func blank() {
      out.append(next == 10 ? 10 : 32)
      offset += 1
    }

    // MARK: Names

    /// `true`, `false`, `null`, or the bare name of a member, which a colon follows.
    mutating func name() throws(JSONError) {
      let start = offset
      while let byte = next, Self.isNameByte(byte) { offset += 1 }
      guard offset > start else { throw failure("not a JSON5 value") }
      let word = bytes[start..<offset]
      // Whether a colon follows is only known behind space and comments, which come again later.
      let (end, written) = (offset, out.count)
      while try takeSpace() {}
      let isMember = next == UInt8(ascii: ":")
      offset = end
      out.removeLast(out.count - written)
      out += isMember ? [UInt8(ascii: "\"")] + word + [UInt8(ascii: "\"")] : Array(word)
    }

    static func isNameByte(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"):
        true
      default: false
      }
    }

    // MARK: Numbers

    mutating func number() throws(JSONError) {
      if next == UInt8(ascii: "+") {
        offset += 1
      } else if next == UInt8(ascii: "-") {
        copy()
      }
      if next == UInt8(ascii: "0"), peek(1) == UInt8(ascii: "x") || peek(1) == UInt8(ascii: "X") {
        return try hexadecimal()
      }
      let whole = copyDigits()
      if whole == 0 { out.append(UInt8(ascii: "0")) }
      var fraction = 0
      if next == UInt8(ascii: ".") {
        copy()
        fraction = copyDigits()
        if fraction == 0 { out.append(UInt8(ascii: "0")) }
      }
      guard whole + fraction > 0 else { throw failure("digits expected") }
      if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
        copy()
        if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { copy() }
        guard copyDigits() > 0 else { throw failure("digits expected") }
      }
      if let byte = next, Self.isNameByte(byte) { throw failure("not a number") }
    }

    mutating func copyDigits() -> Int {
      let start = offset
      while let byte = next, (48...57).contains(byte) { copy() }
      return offset - start
    }

    mutating func hexadecimal() throws(JSONError) {
      offset += 2
      let start = offset
      while let byte = next, Self.isNameByte(byte) { offset += 1 }
      guard let value = UInt64(String(decoding: bytes[start..<offset], as: UTF8.self), radix: 16)
      else { throw failure("not a hexadecimal number of 64 bits") }
      out += Array(String(value).utf8)
    }

    // MARK: Strings

    mutating func string(quote: UInt8) throws(JSONError) {
      out.append(UInt8(ascii: "\""))
      offset += 1
      while let byte = next {
        switch byte {
        case quote:
          out.append(UInt8(ascii: "\""))
          offset += 1
          return
        case UInt8(ascii: "\\"): try escape()
        case UInt8(ascii: "\""):
          out.append(UInt8(ascii: "\\"))
          copy()
        default: copy()
        }
      }
      throw failure("a string has no end")
    }

    mutating func escape() throws(JSONError) {
      offset += 1
      switch next {
      case UInt8(ascii: "'"): copy()
      case UInt8(ascii: "v"): replace(with: "\\u000b")
      case UInt8(ascii: "0"): replace(with: "\\u0000")
      case UInt8(ascii: "x"): replace(with: "\\u00")
      // A line that goes on with the next.
      case 10, 13: offset += next == 13 && peek(1) == 10 ? 2 : 1
      case nil: throw failure("a string has no end")
      default:
        out.append(UInt8(ascii: "\\"))
        copy()
      }
    }

    mutating func replace(with text: String) {
      out += Array(text.utf8)
      offset += 1
    }
  }
}
