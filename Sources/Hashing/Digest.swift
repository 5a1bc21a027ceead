/// Thirty-two bytes that name something: a SHA-256 digest or an HMAC-SHA-256 tag.
package struct Digest: Hashable, Comparable, Sendable {
  package static let byteCount = 32

  // Big-endian words, so that comparing words compares bytes.
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// Takes exactly 32 bytes; anything else is not a digest.
  package init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    var words = [UInt64](repeating: 0, count: 4)
    for (index, byte) in bytes.enumerated() {
      words[index / 8] = words[index / 8] << 8 | UInt64(byte)
    }
    self.words = (words[0], words[1], words[2], words[3])
  }

  /// Reads 64 lower-case or upper-case hexadecimal digits.
  package init?(hex: some StringProtocol) {
    guard let bytes = Array(hex: hex) else { return nil }
    self.init(bytes)
  }

  package var bytes: [UInt8] {
    [words.0, words.1, words.2, words.3].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }
  }

  /// 64 lower-case digits.
  package var hex: String { bytes.hex }

  package static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }
  package static func < (left: Digest, right: Digest) -> Bool { left.words < right.words }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
  }
}

extension Digest: CustomStringConvertible {
  package var description: String { hex }
}

extension Array where Element == UInt8 {
  /// Reads pairs of hexadecimal digits; `nil` for an odd count or any other character.
  package init?(hex: some StringProtocol) {
    func value(_ digit: UInt8) -> UInt8? {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
      default: nil
      }
    }
    let digits = Array(hex.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    self = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
      append(high << 4 | low)
    }
  }
}

extension Sequence<UInt8> {
  /// Two lower-case hexadecimal digits a byte.
  package var hex: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
