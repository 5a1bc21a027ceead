import Hashing
import JournalFormat
import Testing

@Suite("Journal frames") struct JournalFrameTests {
  static let payloads: [[UInt8]] = [[], [1], Array(repeating: 7, count: 300), [9, 9]]

  /// A journal of four frames and the byte where each begins.
  static func journal() -> (bytes: [UInt8], starts: [Int]) {
    var bytes = JournalFrame.header(nonce: SHA256.hash([1]))
    var chain = SHA256.hash(bytes)
    var starts: [Int] = []
    for (index, payload) in payloads.enumerated() {
      starts.append(bytes.count)
      let frame = JournalFrame.encode(payload, sequence: UInt64(index) + 1, after: chain)
      bytes += frame.bytes
      chain = frame.chain
    }
    return (bytes, starts)
  }

  @Test("read back what was written")
  func roundTrip() throws {
    let contents = try JournalContents(reading: Self.journal().bytes)
    #expect(contents.payloads == Self.payloads && contents.ending == .clean)
  }

  @Test("a cut inside the last frame is a torn tail that costs only that frame")
  func tornTail() throws {
    let (bytes, starts) = Self.journal()
    for end in (starts[3] + 1)..<bytes.count {
      let contents = try JournalContents(reading: Array(bytes[..<end]))
      #expect(contents.payloads == Array(Self.payloads.dropLast()))
      #expect(contents.ending == .tornTail(byteCount: end - starts[3]))
      #expect(contents.validByteCount == starts[3])
    }
  }

  @Test("any changed byte before the last frame is damage, never silence", arguments: 0..<8)
  func damage(bit: Int) {
    let (bytes, starts) = Self.journal()
    for index in 0..<starts[3] {
      var changed = bytes
      changed[index] ^= 1 << UInt8(bit)
      #expect(throws: JournalDamage.self, "byte \(index)") {
        _ = try JournalContents(reading: changed)
      }
    }
  }
}
