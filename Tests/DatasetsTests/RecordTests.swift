import ByteCoding
import Hashing
import Testing
import Unlearning

@Suite("Records") struct RecordTests {
  static let base = Row()

  /// The arguments of a record, to change one at a time.
  struct Row: Sendable {
    var id = "a"
    var subject: String? = "s"
    var text = "t"
    var textPair: String? = "p"
    var label = "l"
    var deletionProbability: Double? = 0.5

    func record() throws -> Record {
      Record(
        id: try RecordID(id), subject: try subject.map { try RecordID($0) }, text: text,
        textPair: textPair, label: label, deletionProbability: deletionProbability)
    }
  }

  static let changes: [Row] = [
    Row(id: "b"), Row(subject: "x"), Row(subject: nil), Row(text: "u"), Row(textPair: "q"),
    Row(textPair: nil), Row(label: "m"), Row(deletionProbability: 0.25),
    Row(deletionProbability: nil),
    // The same letters in all, cut elsewhere.
    Row(text: "tp", textPair: nil), Row(text: "", textPair: "tp"), Row(id: "as", subject: nil),
  ]

  @Test("have digests that cover every field and every border between fields", arguments: changes)
  func coverage(_ change: Row) throws {
    let (base, changed) = (try Self.base.record(), try change.record())
    #expect(changed != base)
    #expect(changed.digest != base.digest)
  }

  @Test("have payload digests that do not ask whose they are")
  func payload() throws {
    let base = try Self.base.record().payloadDigest
    for same in [Row(id: "b"), Row(subject: nil), Row(deletionProbability: nil)] {
      #expect(try same.record().payloadDigest == base)
    }
    for other in [Row(text: "u"), Row(textPair: nil), Row(label: "m")] {
      #expect(try other.record().payloadDigest != base)
    }
  }

  @Test("hash the bytes that Protocols/encoding.md says")
  func preimage() throws {
    let bytes = try #require(
      Array(
        hex: "0e0000006c6574686520" + "7265636f72642031" + "0100000061" + "010100000073"
          + "0100000074" + "010100000070" + "010000006c" + "01000000000000e03f"))
    #expect(try Self.base.record().digest == SHA256.hash(bytes))
  }

  @Test("differ where strings are only canonically equal")
  func bytes() throws {
    let (composed, decomposed) = (
      try Row(text: "\u{e9}").record(), try Row(text: "e\u{301}").record()
    )
    #expect(composed.text == decomposed.text)
    #expect(composed != decomposed)
    #expect(composed.digest != decomposed.digest)
    #expect(try RecordID("\u{e9}") != RecordID("e\u{301}"))
  }

  @Test("know an empty second text as none")
  func emptyPair() throws {
    #expect(try Row(textPair: "").record() == Row(textPair: nil).record())
  }

  static let ids: [([UInt8], RecordIDProblem?)] = [
    ([], .empty),
    ([0x61], nil),
    (Array(repeating: 0x61, count: 256), nil),
    (Array(repeating: 0x61, count: 257), .tooLong(byteCount: 257)),
    ([0x1f], .controlCharacter), ([0x20], nil), ([0x7e], nil), ([0x7f], .controlCharacter),
    ([0xc2, 0x80], .controlCharacter), ([0xc2, 0x9f], .controlCharacter), ([0xc2, 0xa0], nil),
    ([0xc3, 0x80], nil), ([0xe2, 0x82, 0xac], nil), ([0xff], .notUTF8), ([0xc0, 0x80], .notUTF8),
    ([0xed, 0xa0, 0x80], .notUTF8), ([0xe2, 0x82], .notUTF8),
  ]

  @Test("have ids that people can write down", arguments: ids)
  func idRules(bytes: [UInt8], problem: RecordIDProblem?) throws {
    if let problem {
      #expect(throws: problem) { try RecordID(bytes) }
    } else {
      #expect(try RecordID(bytes).bytes == bytes)
    }
  }

  @Test("have ids that are ordered as bytes")
  func order() throws {
    let sorted = ["Z", "a", "aa", "b", "z", "é", "中", "😀"]
    #expect(try sorted.reversed().map { try RecordID($0) }.sorted().map(\.text) == sorted)
  }
}
