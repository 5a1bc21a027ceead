import Foundation
import Hashing
import Testing
import Tokenization

@Suite("Byte-level tokenizer") struct ByteLevelTokenizerTests {
  static func vocabulary() throws -> [String: Int] {
    try JSONDecoder().decode(
      [String: Int].self, from: Data(#require(fixtureBytes("byte-level/vocab.json"))))
  }

  static func tokenizer(prefixing: Bool = false) throws -> ByteLevelTokenizer {
    try ByteLevelTokenizer(
      vocabulary: vocabulary(), mergeLines: #require(fixtureBytes("byte-level/merges.txt")),
      addsPrefixSpace: prefixing)
  }

  /// A line of `byte-level/cases.jsonl`.
  private struct Case: Decodable {
    let text: String
    let textPair: String?
    let maximumTokens: Int?
    let prefix: Bool?
    let ids: [Int32]

    enum CodingKeys: String, CodingKey {
      case text, prefix, ids
      case textPair = "text_pair"
      case maximumTokens = "max_length"
    }
  }

  @Test("gives the reference's ids for every recorded text, pair and limit")
  func everyCase() throws {
    let (plain, prefixing) = (try Self.tokenizer(), try Self.tokenizer(prefixing: true))
    let lines = fixtureLines("byte-level/cases.jsonl")
    #expect(lines.count >= 500)
    for (number, line) in lines.enumerated() {
      let recorded = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
      let found = (recorded.prefix == true ? prefixing : plain).encode(
        recorded.text, pair: recorded.textPair, maximumTokens: recorded.maximumTokens ?? .max)
      #expect(found.ids == recorded.ids, "line \(number + 1): \(recorded.text.debugDescription)")
      #expect(found.typeIDs.allSatisfy { $0 == 0 })
    }
  }

  static let blocks = fixtureLines("byte-level/pieces.tsv").compactMap { line in
    let fields = line.split(separator: "\t").map(String.init)
    return fields.count == 2 ? UInt32(fields[0], radix: 16).map { ($0, fields[1]) } : nil
  }

  @Test("cuts at every scalar as the reference does")
  func everyScalar() {
    #expect(Self.blocks.count == 272)
    for (first, digest) in Self.blocks {
      var hasher = SHA256()
      for value in first..<first + 4096 {
        guard let x = Unicode.Scalar(value) else { continue }
        let pieces = byteLevelPieces("a\(x)1\(x)!\(x) \(x)\(x)  \(x)'s\(x)")
        hasher.update(pieces.joined(separator: [0xff]) + [0xfe])
      }
      #expect(hasher.finalize().hex == digest, "U+\(String(first, radix: 16))")
    }
  }

  @Test("reads merges the same however their lines end, behind a byte order mark too")
  func mergeLineEnds() throws {
    let merges = try #require(fixtureBytes("byte-level/merges.txt"))
    let windows = Array(
      String(decoding: merges, as: UTF8.self).replacing("\n", with: "\r\n").utf8)
    let text = "the quick brown fox and the lazy dog"
    let expected = try Self.tokenizer().encode(text, maximumTokens: .max).ids
    let unmerged = try ByteLevelTokenizer(vocabulary: Self.vocabulary(), mergeLines: [])
    #expect(unmerged.encode(text, maximumTokens: .max).ids != expected)
    for lines in [windows, [0xef, 0xbb, 0xbf] + merges, [0xef, 0xbb, 0xbf] + windows] {
      let found = try ByteLevelTokenizer(vocabulary: Self.vocabulary(), mergeLines: lines)
      #expect(found.encode(text, maximumTokens: .max).ids == expected)
    }
  }

  @Test("a long word takes as many passes as it has different pairs, not its length")
  func longWord() throws {
    let word = String(repeating: "the", count: 100_000)
    let found = try Self.tokenizer().encode(word, maximumTokens: .max)
    #expect(found.count > 1000)
  }

  @Test("refuses a vocabulary it could not spell every text with")
  func refuses() throws {
    let (good, merges) = (try Self.vocabulary(), Array("Ġ t\n".utf8))
    func make(_ change: (inout [String: Int]) -> Void, _ lines: [UInt8]) throws {
      var vocabulary = good
      change(&vocabulary)
      _ = try ByteLevelTokenizer(vocabulary: vocabulary, mergeLines: lines)
    }
    #expect(throws: ByteLevelError.missingTokens(["</s>", "Ā"])) {
      try make({ ($0["</s>"], $0["Ā"]) = (nil, nil) }, merges)
    }
    #expect(throws: ByteLevelError.badNumber(token: "t", number: 0)) {
      try make({ $0["t"] = 0 }, merges)
    }
    #expect(throws: ByteLevelError.badNumber(token: "t", number: -1)) {
      try make({ $0["t"] = -1 }, merges)
    }
    for line in ["Ġ", "Ġ t x", "Ġ  t", "Ġ ż", "ż Ġ"] {
      #expect(throws: ByteLevelError.badMerge(line: 2), "\(line)") {
        try make({ _ in }, merges + Array(line.utf8))
      }
    }
    #expect(throws: ByteLevelError.notUTF8) { try make({ _ in }, [0xff]) }
  }
}
