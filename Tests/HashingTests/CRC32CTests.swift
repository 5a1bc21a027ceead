import Hashing
import Testing

@Suite("CRC-32C") struct CRC32CTests {
  @Test("equals RFC 3720")
  func published() throws {
    let cases = try Vectors.cases("rfc-3720-crc32c.txt", last: "CRC")
    try #require(cases.count == 5)
    for vector in cases {
      let check = try CRC32C.checksum(vector.bytes("Msg"))
      #expect(try check == UInt32(vector.text("CRC"), radix: 16))
    }
  }

  @Test("equals a check of one bit at a time, at every length")
  func lengths() throws {
    for length in try Vectors.lengths() {
      let check = CRC32C.checksum(Vectors.message(length.byteCount))
      #expect(check == UInt32(length.check, radix: 16), "\(length.byteCount) bytes")
    }
  }

  @Test("is the same for bytes with storage, without, and anywhere in memory")
  func storage() {
    #expect(CRC32C.checksum("123456789".utf8) == 0xe306_9283)
    #expect(CRC32C.checksum((1...9).lazy.map { UInt8(ascii: "0") + $0 }) == 0xe306_9283)
    #expect(CRC32C.checksum(repeatElement(0, count: 32)) == 0x8a91_36aa)
    let message = Vectors.message(100)
    for start in 0..<16 {
      let part = message[start...]
      #expect(CRC32C.checksum(part) == CRC32C.checksum(Array(part)))
      #expect(
        message.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
          == CRC32C.checksum(part.lazy.map { $0 }))
    }
    #expect(CRC32C.checksum(UnsafeRawBufferPointer(start: nil, count: 0)) == 0)
  }
}
