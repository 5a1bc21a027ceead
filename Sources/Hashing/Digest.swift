/// Thirty-two bytes that name something: a SHA-256 digest or an HMAC-SHA-256 tag.
package struct Digest: Hashable, Comparable, Sendable {
  package static let byteCount = 32

  // Big-endian words, so that comparing words compares bytes.
  @usableFromInline
  let words: (UInt64, UInt64, UInt64, UInt64)

  init(words: (UInt64, UInt64, UInt64, UInt64)) {
    self.words = words
  }

  /// Takes exactly 32 bytes; anything else is not a digest.
  @inlinable
  package init?(_ bytes: some Collection<UInt8>) {
    let digest = bytes.withContiguousStorageIfAvailable { Self(UnsafeRawBufferPointer($0)) }
    guard let digest = digest ?? Array(bytes).withUnsafeBytes({ Self($0) }) else { return nil }
    self = digest
  }

  /// Takes exactly 32 bytes of memory; anything else is not a digest.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.byteCount else { return nil }
    func word(_ index: Int) -> UInt64 {
      UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
    }
    words = (word(0), word(1), word(2), word(3))
  }

  /// Reads 64 lower-case or upper-case hexadecimal digits.
  package init?(hex: some StringProtocol) {
    guard let bytes = Array(hex: hex) else { return nil }
    self.init(bytes)
  }

  package var bytes: [UInt8] {
    Array(unsafeUninitializedCapacity: Self.byteCount) { buffer, byteCount in
      withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
      byteCount = Self.byteCount
    }
  }

  /// Lends the 32 bytes without an array for them.
  package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let bigEndian = (
      words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian
    )
    return Swift.withUnsafeBytes(of: bigEndian, body)
  }

  /// A bit, counted from the first byte's highest.
  @inlinable
  package func bit(_ index: Int) -> Bool {
    let word =
      switch index / 64 {
      case 0: words.0
      case 1: words.1
      case 2: words.2
      default: words.3
      }
    return word >> UInt64(63 - index % 64) & 1 == 1
  }

  /// 64 lower-case digits.
  package var hex: String { bytes.hex }

  @inlinable
  package static func == (left: Digest, right: Digest) -> Bool {
    let first = (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
    return first | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
  }

  // Digests spread evenly, so the first words nearly always decide.
  @inlinable
  package static func < (left: Digest, right: Digest) -> Bool {
    if left.words.0 != right.words.0 { return left.words.0 < right.words.0 }
    if left.words.1 != right.words.1 { return left.words.1 < right.words.1 }
    if left.words.2 != right.words.2 { return left.words.2 < right.words.2 }
    return left.words.3 < right.words.3
  }

  @inlinable
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
