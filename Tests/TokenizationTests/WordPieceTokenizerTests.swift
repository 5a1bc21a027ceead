import Testing
import Tokenization

@Suite("WordPiece tokenizer") struct WordPieceTokenizerTests {
  /// Token numbers are line numbers from 0, so [UNK] is 1, [CLS] 2, [SEP] 3.
  static let vocabulary = """
    [PAD]
    [UNK]
    [CLS]
    [SEP]
    [MASK]
    un
    ##aff
    ##able
    a
    ##a
    é
    中
    ,
    b
    """

  static func tokenizer(_ text: String = vocabulary) throws -> WordPieceTokenizer {
    try WordPieceTokenizer(vocabulary: Array(text.utf8))
  }

  struct Row: Sendable {
    let text: String
    let ids: [Int32]
    let because: String
  }

  static let rows = [
    Row(text: "", ids: [], because: "nothing is nothing"),
    Row(text: "unaffable", ids: [5, 6, 7], because: "longest pieces, the later ones continue"),
    Row(text: "unaffables", ids: [1], because: "one piece that is missing spoils the word"),
    Row(text: "able", ids: [1], because: "a continuation cannot begin a word"),
    Row(text: "UN un", ids: [5, 5], because: "lower case"),
    Row(text: "a,b", ids: [8, 12, 13], because: "punctuation parts words"),
    Row(text: "á", ids: [8], because: "accents are stripped"),
    Row(text: "a\u{301}\u{300}", ids: [8], because: "also those that come on their own"),
    Row(text: "a中a", ids: [8, 11, 8], because: "an ideograph is a word"),
    Row(text: "a[SEP]b", ids: [8, 3, 13], because: "a special token's name stands for it"),
    Row(text: "a[sep]", ids: [8, 1, 1, 1], because: "only in capitals"),
    Row(text: "[[MASK]]", ids: [1, 4, 1], because: "also between other brackets"),
    Row(text: "a\u{0}\u{ad}a", ids: [8, 9], because: "control characters vanish"),
    Row(text: "a\u{a0}a\u{3000}a", ids: [8, 8, 8], because: "any white space parts words"),
    Row(
      text: String(repeating: "a", count: 100), ids: [8] + Array(repeating: 9, count: 99),
      because: "a hundred scalars are a word"),
    Row(
      text: String(repeating: "a", count: 101), ids: [1], because: "a hundred and one are not"),
  ]

  @Test("spells texts", arguments: rows)
  func spells(_ row: Row) throws {
    let found = try Self.tokenizer().encode(row.text, maximumTokens: .max)
    #expect(found.ids == [2] + row.ids + [3], "\(row.because)")
    #expect(found.typeIDs == Array(repeating: 0, count: row.ids.count + 2))
  }

  @Test("keeps case and accents when told to")
  func cased() throws {
    let tokenizer = try WordPieceTokenizer(
      vocabulary: Array(Self.vocabulary.utf8), lowercases: false)
    #expect(tokenizer.encode("é A a", maximumTokens: .max).ids == [2, 10, 1, 8, 3])
  }

  @Test("tells canonically equal tokens apart, as bytes do")
  func bytes() throws {
    let text = "[UNK]\n[CLS]\n[SEP]\ne\u{301}\né"
    let tokenizer = try WordPieceTokenizer(vocabulary: Array(text.utf8), lowercases: false)
    #expect(tokenizer.encode("e\u{301} é", maximumTokens: .max).ids == [1, 3, 4, 2])
  }

  @Test(
    "cuts a single text's end and never its special tokens",
    arguments: [(Int.min, 0), (0, 0), (2, 0), (3, 1), (5, 3), (6, 3), (Int.max, 3)])
  func cutsSingle(limit: Int, kept: Int) throws {
    let ids = try Self.tokenizer().encode("a a a", maximumTokens: limit).ids
    #expect(ids == [2] + Array(repeating: 8, count: kept) + [3])
  }

  struct PairRow: Sendable {
    let first: Int
    let second: Int
    let limit: Int
    let kept: (Int, Int)
    let because: String
  }

  static let pairRows = [
    PairRow(first: 2, second: 3, limit: 8, kept: (2, 3), because: "fits"),
    PairRow(first: 2, second: 9, limit: 10, kept: (2, 5), because: "the longer is cut"),
    PairRow(first: 9, second: 2, limit: 10, kept: (5, 2), because: "whichever it is"),
    PairRow(first: 9, second: 8, limit: 10, kept: (4, 3), because: "odd one to the longer"),
    PairRow(first: 8, second: 9, limit: 10, kept: (3, 4), because: "odd one to the longer"),
    PairRow(first: 9, second: 9, limit: 10, kept: (3, 4), because: "or to the second"),
    PairRow(first: 9, second: 9, limit: 0, kept: (0, 0), because: "special tokens always stay"),
    PairRow(first: 0, second: 9, limit: 6, kept: (0, 3), because: "an empty first text"),
  ]

  @Test("cuts the longer text of a pair first", arguments: pairRows)
  func cutsPair(_ row: PairRow) throws {
    let found = try Self.tokenizer().encode(
      Array(repeating: "a", count: row.first).joined(separator: " "),
      pair: Array(repeating: "b", count: row.second).joined(separator: " "),
      maximumTokens: row.limit)
    let first = [2] + [Int32](repeating: 8, count: row.kept.0) + [3]
    let second = [Int32](repeating: 13, count: row.kept.1) + [3]
    #expect(found.ids == first + second, "\(row.because)")
    #expect(
      found.typeIDs == first.map { _ in 0 } + second.map { _ in 1 }, "\(row.because)")
  }

  struct Refusal: Sendable {
    let vocabulary: [UInt8]
    let error: VocabularyError
  }

  static let special = Array("[UNK]\n[CLS]\n[SEP]\n".utf8)

  static let refusals = [
    Refusal(vocabulary: [], error: .empty),
    Refusal(vocabulary: special + Array("a\n\nb\n".utf8), error: .emptyToken(line: 5)),
    Refusal(
      vocabulary: special + Array("a\nb\na\n".utf8), error: .duplicateToken(line: 6, firstLine: 4)),
    Refusal(vocabulary: special + [0xc3, 0x0a], error: .notUTF8(line: 4)),
    Refusal(
      vocabulary: Array("[UNK]\na".utf8), error: .missingSpecialTokens(["[CLS]", "[SEP]"])),
  ]

  @Test("refuses a vocabulary it could misread", arguments: refusals)
  func refuses(_ row: Refusal) {
    #expect(throws: row.error) { try WordPieceTokenizer(vocabulary: row.vocabulary) }
  }

  @Test("refuses a vocabulary over its limit before it spends memory on it")
  func refusesLarge() {
    let bytes = [UInt8](repeating: 0x61, count: (16 << 20) + 1)
    #expect(throws: VocabularyError.tooLarge(byteCount: (16 << 20) + 1, limit: 16 << 20)) {
      try WordPieceTokenizer(vocabulary: bytes)
    }
  }

  @Test("reads a vocabulary with carriage returns and no last line feed")
  func lineEnds() throws {
    let unix = try Self.tokenizer()
    let windows = try Self.tokenizer(
      Self.vocabulary.split(separator: "\n").joined(separator: "\r\n"))
    #expect(windows.vocabularyCount == unix.vocabularyCount)
    #expect(windows.encode("un b", maximumTokens: 9) == unix.encode("un b", maximumTokens: 9))
  }

  @Test("gives the start of the whole encoding when it stops early")
  func stopsEarly() throws {
    let tokenizer = try Self.tokenizer()
    let text = "un[MASK]unaffable, a中á [SEP] zz unaffableaa b"
    let whole = tokenizer.encode(text, maximumTokens: .max).ids.dropFirst().dropLast()
    for limit in 2...whole.count + 4 {
      let cut = tokenizer.encode(text, maximumTokens: limit).ids
      #expect(cut == [2] + whole.prefix(limit - 2) + [3])
    }
  }
}
