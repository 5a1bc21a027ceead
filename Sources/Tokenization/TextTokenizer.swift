/// The tokenizer of one of the families that backbones come from.
package enum TextTokenizer: Sendable {
  case wordPiece(WordPieceTokenizer)
  case byteLevel(ByteLevelTokenizer)

  /// Tokens there are; every id is below it.
  package var vocabularyCount: Int {
    switch self {
    case .wordPiece(let tokenizer): tokenizer.vocabularyCount
    case .byteLevel(let tokenizer): tokenizer.vocabularyCount
    }
  }

  /// Encodes a text, or a pair of them, with its special tokens, in at most `maximumTokens`.
  package func encode(_ text: String, pair: String?, maximumTokens: Int) -> TokenSequence {
    switch self {
    case .wordPiece(let tokenizer):
      tokenizer.encode(text, pair: pair, maximumTokens: maximumTokens)
    case .byteLevel(let tokenizer):
      tokenizer.encode(text, pair: pair, maximumTokens: maximumTokens)
    }
  }
}
