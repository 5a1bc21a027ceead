/// One known answer of each primitive, to be had before anything depends on them.
///
/// A wrong build, or a processor that computes wrongly, is found before it names artifacts. It
/// takes some microseconds.
package enum SelfTest {
  /// The first primitive with a wrong answer; `nil` when all are right.
  package static func failingPrimitive() -> String? { failingPrimitive(of: answers) }

  package struct Answer: Sendable {
    package let primitive: String
    package let expected: String
    package let computed: @Sendable () -> String

    package init(
      _ primitive: String, _ expected: String, computed: @escaping @Sendable () -> String
    ) {
      self.primitive = primitive
      self.expected = expected
      self.computed = computed
    }
  }

  package static func failingPrimitive(of answers: [Answer]) -> String? {
    answers.first { $0.computed() != $0.expected }?.primitive
  }

  package static let answers = [
    Answer(
      "SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      computed: { SHA256.hash("abc".utf8).hex }),
    // Long enough for blocks side by side, and for one that is left over.
    Answer(
      "SHA-256 of many blocks", "b692e108116d34fc671c795318cbf859c030b10c2f699e7fc7dc923f7398ca03",
      computed: { SHA256.hash((0..<1100).map { UInt8(truncatingIfNeeded: $0) }).hex }),
    // RFC 4231, test case 2.
    Answer(
      "HMAC-SHA-256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      computed: {
        HMAC.authenticate(key: "Jefe".utf8, "what do ya want for nothing?".utf8).hex
      }),
    // RFC 5869, appendix A.1, the first 32 bytes.
    Answer(
      "HKDF-SHA-256", "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
      computed: {
        let secret = repeatElement(UInt8(0x0b), count: 22)
        let key = try? HKDF.derive(
          secret: secret, salt: Array(0...0x0c), info: Array(0xf0...0xf9), byteCount: 32)
        return key?.hex ?? ""
      }),
    // The catalogue's check value, with a rest after the first eight bytes.
    Answer(
      "CRC-32C", "e3069283",
      computed: { String(CRC32C.checksum("123456789".utf8), radix: 16) }),
  ]
}
