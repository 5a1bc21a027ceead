import Hashing
import Testing

@Suite("HKDF-SHA-256") struct HKDFTests {
  @Test("equals RFC 5869, the pseudorandom key as well")
  func published() throws {
    let cases = try Vectors.cases("rfc-5869-HKDF-SHA256.txt", last: "OKM")
    try #require(cases.count == 3)
    for vector in cases {
      let key = try HKDF.extract(secret: vector.bytes("IKM"), salt: vector.bytes("salt"))
      #expect(try key.hex == vector.text("PRK"))
      let output = try HKDF.derive(
        secret: vector.bytes("IKM"), salt: vector.bytes("salt"), info: vector.bytes("info"),
        byteCount: vector.number("L"))
      #expect(try output.hex == vector.text("OKM"))
    }
  }

  @Test("derives and refuses as Wycheproof does")
  func wycheproof() throws {
    let tests = try Vectors.Wycheproof.tests("wycheproof-hkdf-sha256.json")
    try #require(tests.count == 86)
    for test in tests {
      let output = try? HKDF.derive(
        secret: test.bytes(\.ikm), salt: test.bytes(\.salt), info: test.bytes(\.info),
        byteCount: #require(test.size))
      let expected = test.result == "valid" ? try test.bytes(\.okm) : nil
      #expect(output == expected, "\(test.tcId): \(test.comment)")
    }
  }

  @Test(
    "keeps to its limits",
    arguments: [
      (-1, nil, "fewer than none"),
      (0, 0, "nothing is not too much"),
      (8160, 8160, "255 digests"),
      (8161, nil, "the counter is one byte"),
    ] as [(Int, Int?, String)])
  func limits(byteCount: Int, expected: Int?, because: String) {
    do throws(HKDF.Failure) {
      let output = try HKDF.derive(secret: [1], salt: [2], info: [3], byteCount: byteCount)
      #expect(output.count == expected, "\(because)")
    } catch {
      #expect(error == .byteCount(byteCount) && expected == nil, "\(because)")
    }
  }
}
