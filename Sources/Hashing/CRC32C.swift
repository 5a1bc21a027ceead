/// The Castagnoli cyclic redundancy check (RFC 3720, appendix B.4).
///
/// It finds torn and rotted bytes quickly; it is no protection against an adversary.
package enum CRC32C {
  package static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var remainder = ~UInt32(0)
    for byte in bytes {
      remainder = table[Int((remainder ^ UInt32(byte)) & 0xff)] ^ (remainder >> 8)
    }
    return ~remainder
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0x82f6_3b78 ^ (value >> 1) : value >> 1
    }
  }
}
