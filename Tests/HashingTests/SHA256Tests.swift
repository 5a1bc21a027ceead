import Hashing
import Testing

@Suite("SHA-256") struct SHA256Tests {
  @Test(
    "equals NIST's answers for messages of whole bytes",
    arguments: [("SHA256ShortMsg.rsp", 65), ("SHA256LongMsg.rsp", 64)])
  func validation(file: String, count: Int) throws {
    let cases = try Vectors.cases(file, last: "MD")
    try #require(cases.count == count)
    for vector in cases {
      // The empty message is written as one byte.
      let message = try vector.bytes("Msg").prefix(vector.number("Len") / 8)
      #expect(try SHA256.hash(message).hex == vector.text("MD"), "\(message.count) bytes")
    }
  }

  @Test("equals NIST's Monte Carlo checkpoints")
  func monteCarlo() throws {
    let cases = try Vectors.cases("SHA256Monte.rsp", last: "MD")
    try #require(cases.count == 100)
    var seed = try #require(Digest(hex: cases[0].text("Seed")))
    for (number, checkpoint) in cases.enumerated() {
      var last = (seed, seed, seed)
      for _ in 0..<1000 {
        let next = SHA256.hash(last.0.bytes + last.1.bytes + last.2.bytes)
        last = (last.1, last.2, next)
      }
      seed = last.2
      try #require(try seed.hex == checkpoint.text("MD"), "checkpoint \(number)")
    }
  }

  @Test("equals hashlib at every length of the first blocks, and around eight blocks")
  func lengths() throws {
    let lengths = try Vectors.lengths()
    try #require(lengths.prefix(258).map(\.byteCount) == Array(0...257))
    for length in lengths {
      let digest = SHA256.hash(Vectors.message(length.byteCount)).hex
      #expect(digest == length.digest, "\(length.byteCount) bytes")
    }
  }

  @Test("hashes a million letters a, a sequence without storage")
  func million() {
    #expect(
      SHA256.hash(repeatElement(UInt8(ascii: "a"), count: 1_000_000)).hex
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("does not care where a message is cut")
  func cuts() {
    for length in [Int](0...257) + [600, 1200] {
      let message = Vectors.message(length)
      let whole = SHA256.hash(message)
      for cut in 0...length {
        var hasher = SHA256()
        hasher.update(message[..<cut])
        hasher.update(message[cut...])
        if hasher.finalize() != whole { Issue.record("\(length) bytes cut at \(cut)") }
      }
    }
  }

  @Test(
    "takes chunks of one size, of bytes anywhere in memory", arguments: [1, 3, 63, 64, 65, 600])
  func chunks(chunkByteCount: Int) {
    let message = Vectors.message(2000)
    for start in 0..<9 {
      var hasher = SHA256()
      var rest = message[start...]
      while !rest.isEmpty {
        hasher.update(rest.prefix(chunkByteCount))
        rest = rest.dropFirst(chunkByteCount)
      }
      #expect(hasher.finalize() == SHA256.hash(Array(message[start...])))
    }
  }

  @Test("a copy goes its own way")
  func copies() {
    var first = SHA256()
    first.update(Vectors.message(100))
    var second = first
    second.update([1])
    #expect(first.finalize() == SHA256.hash(Vectors.message(100)))
    #expect(second.finalize() == SHA256.hash(Vectors.message(100) + [1]))
  }
}
