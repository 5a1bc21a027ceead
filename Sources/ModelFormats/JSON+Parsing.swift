/// Where and why a JSON text cannot be read.
package struct JSONError: Error, Equatable, Sendable {
  package let byteOffset: Int
  package let reason: String
}

extension JSON {
  /// Reads one whole text (RFC 8259), at most 64 levels deep, without repeated names.
  package init(parsing bytes: some Collection<UInt8>) throws(JSONError) {
    var parser = Parser(bytes: Array(bytes))
    self = try parser.document()
  }

  private struct Parser {
    let bytes: [UInt8]
    var offset = 0

    static let depthLimit = 64

    func failure(_ reason: String) -> JSONError { JSONError(byteOffset: offset, reason: reason) }

    var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipSpace() {
      while let byte = next, byte == 32 || byte == 9 || byte == 10 || byte == 13 { offset += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      offset += 1
      return true
    }

    mutating func document() throws(JSONError) -> JSON {
      let value = try value(depth: 0)
      skipSpace()
      guard offset == bytes.count else { throw failure("text after the value") }
      return value
    }

    mutating func value(depth: Int) throws(JSONError) -> JSON {
      guard depth < Self.depthLimit else { throw failure("nested too deeply") }
      skipSpace()
      switch next {
      case UInt8(ascii: "{"): return try object(depth: depth)
      case UInt8(ascii: "["): return try array(depth: depth)
      case UInt8(ascii: "\""): return .string(try text())
      case UInt8(ascii: "t"): return try word("true", .bool(true))
      case UInt8(ascii: "f"): return try word("false", .bool(false))
      case UInt8(ascii: "n"): return try word("null", .null)
      default: return try number()
      }
    }

    mutating func word(_ word: String, _ value: JSON) throws(JSONError) -> JSON {
      guard bytes[offset...].starts(with: word.utf8) else { throw failure("not a JSON value") }
      offset += word.utf8.count
      return value
    }

    mutating func object(depth: Int) throws(JSONError) -> JSON {
      offset += 1
      var members: [(name: String, value: JSON)] = []
      // Bytes, because two different names can be canonically equal strings.
      var names: Set<[UInt8]> = []
      skipSpace()
      if take("}") { return .object([]) }
      repeat {
        skipSpace()
        guard next == UInt8(ascii: "\"") else { throw failure("a member needs a name") }
        let name = try text()
        guard names.insert(Array(name.utf8)).inserted else {
          throw failure("the name '\(name)' stands twice in one object")
        }
        skipSpace()
        guard take(":") else { throw failure("':' expected") }
        members.append((name, try value(depth: depth + 1)))
        skipSpace()
      } while take(",")
      guard take("}") else { throw failure("',' or '}' expected") }
      return .object(members)
    }

    mutating func array(depth: Int) throws(JSONError) -> JSON {
      offset += 1
      var items: [JSON] = []
      skipSpace()
      if take("]") { return .array([]) }
      repeat {
        items.append(try value(depth: depth + 1))
        skipSpace()
      } while take(",")
      guard take("]") else { throw failure("',' or ']' expected") }
      return .array(items)
    }

    mutating func digits() -> Int {
      let start = offset
      while let byte = next, byte >= 48, byte <= 57 { offset += 1 }
      return offset - start
    }

    mutating func number() throws(JSONError) -> JSON {
      let start = offset
      _ = take("-")
      let first = next
      let count = digits()
      guard count > 0, count == 1 || first != 48 else { throw failure("not a JSON value") }
      if take(".") { guard digits() > 0 else { throw failure("digits expected") } }
      if take("e") || take("E") {
        if !take("+") { _ = take("-") }
        guard digits() > 0 else { throw failure("digits expected") }
      }
      return .number(String(decoding: bytes[start..<offset], as: UTF8.self))
    }

    mutating func text() throws(JSONError) -> String {
      offset += 1
      var content: [UInt8] = []
      while let byte = next {
        offset += 1
        switch byte {
        case UInt8(ascii: "\""):
          guard let text = String(validating: content, as: UTF8.self) else {
            throw failure("a string is not UTF-8")
          }
          return text
        case UInt8(ascii: "\\"): content += try escape()
        case 0..<32: throw failure("a control character in a string")
        default: content.append(byte)
        }
      }
      throw failure("a string has no end")
    }

    mutating func escape() throws(JSONError) -> [UInt8] {
      guard let byte = next else { throw failure("a string has no end") }
      offset += 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
      case UInt8(ascii: "b"): return [8]
      case UInt8(ascii: "f"): return [12]
      case UInt8(ascii: "n"): return [10]
      case UInt8(ascii: "r"): return [13]
      case UInt8(ascii: "t"): return [9]
      case UInt8(ascii: "u"): return try unicodeEscape()
      default: throw failure("an unknown escape in a string")
      }
    }

    mutating func unicodeEscape() throws(JSONError) -> [UInt8] {
      var code = try fourDigits()
      if code >= 0xd800, code < 0xdc00, take("\\"), take("u") {
        let low = try fourDigits()
        guard low >= 0xdc00, low < 0xe000 else { throw failure("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
      return Array(String(Character(scalar)).utf8)
    }

    mutating func fourDigits() throws(JSONError) -> UInt32 {
      guard offset + 4 <= bytes.count else { throw failure("four hexadecimal digits expected") }
      var value: UInt32 = 0
      for byte in bytes[offset..<offset + 4] {
        guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
          throw failure("four hexadecimal digits expected")
        }
        value = value << 4 | UInt32(digit)
      }
      offset += 4
      return value
    }
  }
}
