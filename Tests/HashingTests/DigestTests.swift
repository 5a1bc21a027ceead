import Hashing
import Testing

@Suite("Digest") struct DigestTests {
  @Test("is its 32 bytes, from wherever they come")
  func bytes() throws {
    let bytes = Vectors.message(64)
    for start in 0...32 {
      let part = bytes[start..<start + 32]
      let digest = try #require(Digest(part))
      #expect(digest.bytes == Array(part))
      #expect(digest == Digest(part.lazy.map { $0 }))
      #expect(digest == Digest(hex: part.hex))
      #expect(digest.withUnsafeBytes { Array($0) } == Array(part))
    }
  }

  @Test("is never fewer or more than 32 bytes", arguments: [0, 1, 31, 33, 64])
  func count(byteCount: Int) {
    #expect(Digest(Vectors.message(byteCount)) == nil)
    #expect(Digest(repeatElement(0, count: byteCount)) == nil)
  }

  @Test("compares as its bytes do, whichever byte differs", arguments: 0..<32)
  func order(place: Int) throws {
    let bytes = [UInt8](repeating: 0x7f, count: 32)
    var larger = bytes
    larger[place] = 0x80
    if place < 31 { larger[place + 1] = 0 }
    let low = try #require(Digest(bytes))
    let high = try #require(Digest(larger))
    #expect(low < high && !(high < low) && low != high)
    #expect(!(low < low) && low == low && low.hashValue == Digest(bytes)?.hashValue)
  }
}
