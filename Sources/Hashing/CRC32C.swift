/// The Castagnoli cyclic redundancy check (RFC 3720, appendix B.4).
///
/// It finds torn and rotted bytes quickly; it is no protection against an adversary.
package enum CRC32C {
  @inlinable
  package static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    bytes.withContiguousStorageIfAvailable { checksum(UnsafeRawBufferPointer($0)) }
      ?? Array(bytes).withUnsafeBytes { checksum($0) }
  }

  /// The check of bytes in memory, eight at a time.
  package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard var next = bytes.baseAddress else { return 0 }
    var remainder = ~UInt32(0)
    let table = tables
    for _ in 0..<bytes.count / 8 {
      let word = UInt64(littleEndian: next.loadUnaligned(as: UInt64.self)) ^ UInt64(remainder)
      // The byte that comes first has the most zeros after it, and so the last table.
      @inline(__always)
      func part(_ byte: Int) -> UInt32 {
        table[(7 &- byte) &* 256 &+ Int(truncatingIfNeeded: word &>> UInt64(8 &* byte)) & 0xff]
      }
      remainder = part(0) ^ part(1) ^ part(2) ^ part(3) ^ part(4) ^ part(5) ^ part(6) ^ part(7)
      next += 8
    }
    for index in 0..<bytes.count % 8 {
      let byte = next.load(fromByteOffset: index, as: UInt8.self)
      remainder = table[Int((remainder ^ UInt32(byte)) & 0xff)] ^ (remainder &>> 8)
    }
    return ~remainder
  }

  /// Eight tables of 256: what a byte with 0, 1, ... 7 zero bytes after it leaves as remainder.
  ///
  /// Made once for the process, and never written to or freed after.
  nonisolated(unsafe) private static let tables: UnsafePointer<UInt32> = {
    let tables = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
    for byte in 0..<256 {
      tables[byte] = (0..<8).reduce(UInt32(byte)) { value, _ in
        value & 1 == 1 ? 0x82f6_3b78 ^ (value >> 1) : value >> 1
      }
    }
    for index in 256..<8 * 256 {
      let shorter = tables[index - 256]
      tables[index] = tables[Int(shorter & 0xff)] ^ (shorter >> 8)
    }
    return UnsafePointer(tables)
  }()
}
