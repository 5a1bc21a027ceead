/// Appends values in Lethe's one canonical encoding.
///
/// Block keys, journal frames and wire messages all use it, so that there is a single answer to
/// "which bytes stand for this value". Integers are little-endian and of fixed width; byte strings
/// carry a 32-bit length; sequences a 32-bit count; optionals one byte, 0 or 1. Nothing is padded
/// and no value has two encodings. The grammar is drawn in `Protocols/encoding.md`.
package struct CanonicalWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  /// - Parameter capacity: Bytes that are likely to come; more may.
  package init(capacity: Int = 0) {
    bytes.reserveCapacity(capacity)
  }

  package mutating func write(_ value: UInt8) {
    bytes.append(value)
  }

  package mutating func write(_ value: Bool) {
    bytes.append(value ? 1 : 0)
  }

  package mutating func write<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Writes the IEEE 754 bit pattern, so that equal bits are equal bytes.
  package mutating func write(_ value: Double) {
    write(value.bitPattern)
  }

  /// Writes bytes of a length both ends know; no prefix.
  package mutating func writeRaw(_ value: some Sequence<UInt8>) {
    bytes.append(contentsOf: value)
  }

  /// Writes a 32-bit byte count and the bytes.
  ///
  /// - Precondition: fewer than 2³² bytes.
  package mutating func write(_ value: some Collection<UInt8>) {
    write(UInt32(value.count))
    bytes.append(contentsOf: value)
  }

  /// Writes a string as its UTF-8 bytes.
  package mutating func write(_ value: String) {
    write(UInt32(value.utf8.count))
    bytes.append(contentsOf: value.utf8)
  }

  /// Writes a 32-bit count and then every element in order.
  package mutating func write<Element>(
    _ elements: some Collection<Element>, each: (inout CanonicalWriter, Element) -> Void
  ) {
    write(UInt32(elements.count))
    for element in elements { each(&self, element) }
  }

  /// Writes one byte, 0 or 1, and the value if there is one.
  package mutating func write<Value>(
    _ value: Value?, some: (inout CanonicalWriter, Value) -> Void
  ) {
    guard let value else { return write(UInt8(0)) }
    write(UInt8(1))
    some(&self, value)
  }
}
