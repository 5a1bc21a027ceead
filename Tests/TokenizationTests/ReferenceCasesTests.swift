import Foundation
import Testing
import Tokenization

/// Whole encodings, held to those that Hugging Face's tokenizer gave.
@Suite(
  "Tokenizer against its reference", .enabled(if: fixtureBytes("tokenizer/cases.jsonl") != nil))
struct ReferenceCasesTests {
  /// A line of `tokenizer/cases.jsonl`.
  struct Case: Decodable, Sendable {
    let id: String
    let text: String
    let textPair: String?
    let maximumTokens: Int?
    let ids: [Int32]
    let typeIDs: [Int32]?

    enum CodingKeys: String, CodingKey {
      case id, text, ids
      case textPair = "text_pair"
      case maximumTokens = "max_length"
      case typeIDs = "type_ids"
    }
  }

  @Test("gives the same ids and types for every recorded text")
  func everyCase() throws {
    let tokenizer = try WordPieceTokenizer(
      vocabulary: #require(fixtureBytes("tokenizer/vocab.txt")), lowercases: true)
    let lines = fixtureLines("tokenizer/cases.jsonl")
    #expect(lines.count >= 500)
    for line in lines {
      let recorded = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
      let found = tokenizer.encode(
        recorded.text, pair: recorded.textPair, maximumTokens: recorded.maximumTokens ?? .max)
      #expect(found.ids == recorded.ids, "\(recorded.id)")
      let types = recorded.typeIDs ?? Array(repeating: 0, count: recorded.ids.count)
      #expect(found.typeIDs == types, "\(recorded.id)")
    }
  }
}
