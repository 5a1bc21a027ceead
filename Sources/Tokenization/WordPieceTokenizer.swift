/// BERT's tokenizer, equal to Hugging Face's `BertTokenizerFast`.
///
/// Text is normalised and cut into words (`WordSplitter`); each word becomes the longest tokens
/// that spell it, or `[UNK]` if none do or it is longer than 100 scalars. The names of special
/// tokens in a text, such as `[SEP]`, stand for those tokens, as they do in the reference.
///
/// Held to the reference on every Unicode scalar and on recorded texts.
package struct WordPieceTokenizer: Sendable {
  private let vocabulary: Vocabulary
  private let normalization: TextNormalization
  /// Names that are found in raw text, and their tokens.
  private let specialTokens: [(name: [UInt8], token: Int32)]
  private let unknownToken: Int32
  private let classifierToken: Int32
  private let separatorToken: Int32

  /// Reads the bytes of a `vocab.txt`: one token a line, numbered from 0.
  ///
  /// `stripsAccents: nil` follows `lowercases`, as a published configuration's `null` does.
  package init(
    vocabulary bytes: [UInt8], lowercases: Bool = true, stripsAccents: Bool? = nil,
    tokenizesChineseCharacters: Bool = true
  ) throws(VocabularyError) {
    vocabulary = try Vocabulary(bytes)
    normalization = TextNormalization(
      lowercases: lowercases, stripsAccents: stripsAccents,
      separatesIdeographs: tokenizesChineseCharacters)
    guard
      let unknown = vocabulary.token("[UNK]"), let classifier = vocabulary.token("[CLS]"),
      let separator = vocabulary.token("[SEP]")
    else {
      let vocabulary = vocabulary
      throw .missingSpecialTokens(
        ["[UNK]", "[CLS]", "[SEP]"].filter { vocabulary.token($0) == nil })
    }
    unknownToken = unknown
    classifierToken = classifier
    separatorToken = separator
    var specialTokens: [(name: [UInt8], token: Int32)] = []
    for name in ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"] {
      guard let token = vocabulary.token(name) else { continue }
      specialTokens.append((Array(name.utf8), token))
    }
    self.specialTokens = specialTokens
  }

  /// Tokens there are; every id is below it.
  package var vocabularyCount: Int { vocabulary.count }

  /// Encodes a text, or a pair of them, with its special tokens, in at most `maximumTokens`.
  ///
  /// `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`. A single text that is too long loses its
  /// end; of a pair the longer one does, until both are equally long and lose their ends together.
  /// The special tokens are never cut, whatever `maximumTokens` says. An empty pair is none, as in
  /// the reference.
  package func encode(_ text: String, pair: String? = nil, maximumTokens: Int) -> TokenSequence {
    guard let pair, !pair.isEmpty else {
      let limit = max(2, maximumTokens) - 2
      let ids = [classifierToken] + tokens(text, limit: limit).prefix(limit) + [separatorToken]
      return TokenSequence(ids: ids, typeIDs: Array(repeating: 0, count: ids.count))
    }
    let first = tokens(text, limit: .max)
    let second = tokens(pair, limit: .max)
    let kept = TokenSequence.longestFirst(
      first.count, second.count, limit: max(3, maximumTokens) - 3)
    let ids =
      [classifierToken] + first.prefix(kept.first) + [separatorToken] + second.prefix(kept.second)
      + [separatorToken]
    let types = [Int32](repeating: 0, count: kept.first + 2)
    return TokenSequence(
      ids: ids, typeIDs: types + Array(repeating: 1, count: kept.second + 1))
  }

  /// The tokens of a text without special ones around it; may stop once there are `limit`.
  private func tokens(_ text: String, limit: Int) -> [Int32] {
    var text = text
    return text.withUTF8 { bytes in
      var splitter = WordSplitter(
        normalization,
        into: PieceCollector(vocabulary: vocabulary, unknownToken: unknownToken, limit: limit))
      var start = 0
      for index in bytes.indices where bytes[index] == UInt8(ascii: "[") && index >= start {
        guard let special = specialToken(in: bytes, at: index) else { continue }
        splitter.split(UnsafeBufferPointer(rebasing: bytes[start..<index]))
        splitter.sink.tokens.append(special.token)
        start = index + special.name.count
        if splitter.sink.isFull { break }
      }
      splitter.split(UnsafeBufferPointer(rebasing: bytes[start...]))
      return splitter.sink.tokens
    }
  }

  private func specialToken(in bytes: UnsafeBufferPointer<UInt8>, at index: Int)
    -> (name: [UInt8], token: Int32)?
  {
    specialTokens.first { bytes[index...].starts(with: $0.name) }
  }
}

/// Spells words with the vocabulary's tokens.
private struct PieceCollector: WordSink {
  /// A longer word is unknown without being looked at.
  static let wordScalarLimit = 100

  let vocabulary: Vocabulary
  let unknownToken: Int32
  let limit: Int
  var tokens: [Int32] = []

  init(vocabulary: Vocabulary, unknownToken: Int32, limit: Int) {
    self.vocabulary = vocabulary
    self.unknownToken = unknownToken
    self.limit = limit
  }

  var isFull: Bool { tokens.count >= limit }

  mutating func take(_ word: [UInt8], scalarCount: Int) {
    guard scalarCount <= Self.wordScalarLimit else { return tokens.append(unknownToken) }
    let before = tokens.count
    var start = 0
    var root: Vocabulary.Node? = 0
    while start < word.count {
      guard let from = root,
        let match = vocabulary.longestMatch(in: word, from: start, root: from)
      else {
        // One piece that cannot be spelt makes the whole word unknown.
        tokens.removeSubrange(before...)
        return tokens.append(unknownToken)
      }
      tokens.append(match.token)
      start = match.end
      root = vocabulary.continuationRoot
    }
  }
}
