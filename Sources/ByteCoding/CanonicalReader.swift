/// Why bytes are not a canonical encoding.
package enum DecodingFailure: Error, Equatable, Sendable {
  /// The bytes end before the value does.
  case truncated(atByte: Int)
  /// A length, count or tag lies outside what the reader allows.
  case invalid(what: String, atByte: Int)
  /// Bytes remain after the value.
  case trailing(byteCount: Int)
}

/// Reads what `CanonicalWriter` wrote, trusting nothing.
///
/// Every length is checked against the bytes that are really there before anything is allocated,
/// and no arithmetic on a read number can overflow: a hostile peer gets an error, never a trap.
package struct CanonicalReader: Sendable {
  private let bytes: ArraySlice<UInt8>
  private var position: Int

  package init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  package init(_ bytes: [UInt8]) {
    self.init(bytes[...])
  }

  package var remainingByteCount: Int { bytes.endIndex - position }

  private var offset: Int { position - bytes.startIndex }

  package mutating func readRaw(byteCount: Int) throws(DecodingFailure) -> ArraySlice<UInt8> {
    guard byteCount >= 0, byteCount <= remainingByteCount else {
      throw .truncated(atByte: offset)
    }
    defer { position += byteCount }
    return bytes[position..<position + byteCount]
  }

  package mutating func readInteger<Value: FixedWidthInteger & UnsignedInteger>(
    _: Value.Type = Value.self
  ) throws(DecodingFailure) -> Value {
    var value: Value = 0
    for (index, byte) in try readRaw(byteCount: Value.bitWidth / 8).enumerated() {
      value |= Value(byte) << Value(8 * index)
    }
    return value
  }

  package mutating func readBool() throws(DecodingFailure) -> Bool {
    switch try readInteger(UInt8.self) {
    case 0: return false
    case 1: return true
    default: throw .invalid(what: "boolean", atByte: offset - 1)
    }
  }

  package mutating func readDouble() throws(DecodingFailure) -> Double {
    Double(bitPattern: try readInteger())
  }

  package mutating func readBytes(limit: Int = .max) throws(DecodingFailure) -> [UInt8] {
    let start = offset
    let count = Int(try readInteger(UInt32.self))
    guard count <= limit else { throw .invalid(what: "length", atByte: start) }
    return Array(try readRaw(byteCount: count))
  }

  package mutating func readString(limit: Int = .max) throws(DecodingFailure) -> String {
    let start = offset
    guard let text = String(validating: try readBytes(limit: limit), as: UTF8.self) else {
      throw .invalid(what: "UTF-8", atByte: start)
    }
    return text
  }

  /// Reads a count and that many elements.
  ///
  /// A count of more elements than the remaining bytes can hold cannot be honest. Elements may be
  /// larger in memory than encoded, so no more is reserved at once than the bytes that are there.
  ///
  /// - Parameter minimumByteCount: what an element takes at least; every one takes one.
  package mutating func readArray<Element>(
    minimumByteCount: Int = 1,
    each: (inout CanonicalReader) throws(DecodingFailure) -> Element
  ) throws(DecodingFailure) -> [Element] {
    let start = offset
    let count = Int(try readInteger(UInt32.self))
    guard count <= remainingByteCount / minimumByteCount else {
      throw .invalid(what: "count", atByte: start)
    }
    var elements: [Element] = []
    elements.reserveCapacity(min(count, remainingByteCount / MemoryLayout<Element>.stride))
    for _ in 0..<count { elements.append(try each(&self)) }
    return elements
  }

  package mutating func readOptional<Value>(
    some: (inout CanonicalReader) throws(DecodingFailure) -> Value
  ) throws(DecodingFailure) -> Value? {
    try readBool() ? try some(&self) : nil
  }

  /// Ends the reading; whatever is left over makes the encoding invalid.
  package consuming func finish() throws(DecodingFailure) {
    guard remainingByteCount == 0 else { throw .trailing(byteCount: remainingByteCount) }
  }
}
