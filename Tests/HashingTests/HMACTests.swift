import Hashing
import Testing

@Suite("HMAC-SHA-256") struct HMACTests {
  @Test("equals RFC 4231")
  func published() throws {
    let cases = try Vectors.cases("rfc-4231-sha256.txt", last: "MD")
    try #require(cases.count == 6)
    for vector in cases {
      let tag = try HMAC.authenticate(key: vector.bytes("Key"), vector.bytes("Msg"))
      #expect(try tag.hex == vector.text("MD"))
    }
  }

  @Test("equals RFC 4231, test case 5, whose tag is shortened")
  func shortened() {
    let key = repeatElement(UInt8(0x0c), count: 20)
    let tag = HMAC.authenticate(key: key, "Test With Truncation".utf8)
    #expect(tag.bytes.prefix(16).hex == "a3b6167473100ee06e0c796c2955552b")
  }

  @Test("tells right tags from wrong ones as Wycheproof does")
  func wycheproof() throws {
    let tests = try Vectors.Wycheproof.tests("wycheproof-hmac-sha256.json")
    try #require(tests.count == 174)
    for test in tests {
      let claimed = try test.bytes(\.tag)
      let tag = try HMAC.authenticate(key: test.bytes(\.key), test.bytes(\.msg))
      let isRight = HMAC.areEqual(Array(tag.bytes.prefix(claimed.count)), claimed)
      #expect(isRight == (test.result == "valid"), "\(test.tcId): \(test.comment)")
    }
  }

  @Test(
    "does not care where a message is cut, nor how long the key is", arguments: [0, 1, 63, 64, 65])
  func cuts(keyByteCount: Int) {
    let key = Vectors.message(keyByteCount)
    let message = Vectors.message(130)
    let keyed = HMAC.Authenticator(key: key)
    for cut in 0...message.count {
      var authenticator = keyed
      authenticator.update(message[..<cut])
      authenticator.update(message[cut...])
      #expect(authenticator.finalize() == HMAC.authenticate(key: key, message))
    }
  }
}
