import Hashing
import Testing

@Suite("SHA-256") struct SHA256Tests {
  @Test(
    "equals the published digests",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func published(message: String, digest: String) {
    #expect(SHA256.hash(Array(message.utf8)).hex == digest)
  }

  @Test("hashes a million letters a")
  func million() {
    #expect(
      SHA256.hash(repeatElement(UInt8(ascii: "a"), count: 1_000_000)).hex
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test(
    "does not care where a message is cut", arguments: [0, 1, 55, 56, 63, 64, 65, 127, 128, 200])
  func cuts(length: Int) {
    let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for cut in 0...length {
      var hasher = SHA256()
      hasher.update(message[..<cut])
      hasher.update(message[cut...])
      #expect(hasher.finalize() == SHA256.hash(message))
    }
  }
}

@Suite("HMAC-SHA-256") struct HMACTests {
  @Test(
    "equals RFC 4231",
    arguments: [
      (
        String(repeating: "0b", count: 20), "4869205468657265",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
      ),
      (
        "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
      ),
      (
        String(repeating: "aa", count: 131),
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20"
          + "48617368204b6579204669727374",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
      ),
    ])
  func published(key: String, message: String, tag: String) throws {
    let key = try #require(Array(hex: key))
    let message = try #require(Array(hex: message))
    #expect(HMAC.authenticate(key: key, message).hex == tag)
  }
}

@Suite("CRC-32C") struct CRC32CTests {
  @Test("equals RFC 3720 and the catalogue's check value")
  func published() {
    #expect(CRC32C.checksum("123456789".utf8) == 0xe306_9283)
    #expect(CRC32C.checksum(repeatElement(0, count: 32)) == 0x8a91_36aa)
    #expect(CRC32C.checksum(repeatElement(0xff, count: 32)) == 0x62a8_ab43)
    #expect(CRC32C.checksum(0..<32) == 0x46dd_794e)
  }
}
