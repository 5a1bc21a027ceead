import ByteCoding

/// Why a byte-level vocabulary cannot be used.
package enum ByteLevelError: Error, Equatable, Sendable {
  /// Of `<s>`, `</s>` and the 256 bytes' own symbols, some are not in the vocabulary.
  case missingTokens([String])
  /// Two tokens have one number, or one is negative or beyond any published vocabulary.
  case badNumber(token: String, number: Int)
  /// A line of `merges.txt` is not two tokens whose joint is a token, too.
  case badMerge(line: Int)
  case notUTF8
}

/// RoBERTa's tokenizer: byte-level byte-pair encoding, equal to Hugging Face's `RobertaTokenizer`.
///
/// A text is cut into pieces (`ByteLevelSplitter`); a piece begins as its bytes, and the pair that
/// stands first in `merges.txt` is joined wherever it occurs until no known pair is left. The
/// names of special tokens in a text stand for those tokens; `<mask>` takes the white space before
/// it along, as it is published.
package struct ByteLevelTokenizer: Sendable {
  private struct Merge: Sendable {
    var rank: Int
    var token: Int32
  }

  /// By left token in the upper half and right token in the lower.
  private let merges: [UInt64: Merge]
  /// The token of each byte.
  private let byteTokens: [Int32]
  private let specialTokens: [(name: [Unicode.Scalar], token: Int32, takesSpaces: Bool)]
  private let startToken: Int32
  private let endToken: Int32
  private let addsPrefixSpace: Bool
  /// One more than the greatest token.
  package let vocabularyCount: Int

  private static let numberLimit = 1 << 24

  /// - Parameters:
  ///   - vocabulary: `vocab.json`.
  ///   - mergeLines: the bytes of `merges.txt`, the most important pair first.
  ///   - addsPrefixSpace: puts a space before a text that has none.
  package init(
    vocabulary: [String: Int], mergeLines: [UInt8], addsPrefixSpace: Bool = false
  ) throws(ByteLevelError) {
    self.addsPrefixSpace = addsPrefixSpace
    var owners: [Int: String] = [:]
    for (token, number) in vocabulary.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
      guard (0..<Self.numberLimit).contains(number),
        owners.updateValue(token, forKey: number) == nil
      else { throw .badNumber(token: token, number: number) }
    }
    vocabularyCount = (vocabulary.values.max() ?? -1) + 1
    func token(_ name: String) -> Int32? { vocabulary[name].map(Int32.init) }
    let symbols = Self.byteSymbols
    let needed = ["<s>", "</s>"] + symbols
    let missing = needed.filter { token($0) == nil }
    guard missing.isEmpty, let start = token("<s>"), let end = token("</s>") else {
      throw .missingTokens(missing)
    }
    (startToken, endToken) = (start, end)
    byteTokens = symbols.compactMap(token)
    specialTokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].compactMap { name in
      token(name).map { (Array(name.unicodeScalars), $0, name == "<mask>") }
    }
    merges = try Self.merges(mergeLines, token)
  }

  private static func merges(_ bytes: [UInt8], _ token: (String) -> Int32?) throws(ByteLevelError)
    -> [UInt64: Merge]
  {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
    var merges: [UInt64: Merge] = [:]
    for line in TextLines(bytes) {
      if line.bytes.isEmpty || line.bytes.starts(with: "#version".utf8) { continue }
      let parts = line.bytes.split(
        separator: UInt8(ascii: " "), omittingEmptySubsequences: false
      ).map { String(decoding: $0, as: UTF8.self) }
      guard parts.count == 2, let left = token(parts[0]), let right = token(parts[1]),
        let joint = token(parts[0] + parts[1])
      else { throw .badMerge(line: line.number) }
      // The first of equal lines counts.
      if merges[pair(left, right)] == nil {
        merges[pair(left, right)] = Merge(rank: merges.count, token: joint)
      }
    }
    return merges
  }

  /// Encodes a text, or a pair of them, with its special tokens, in at most `maximumTokens`.
  ///
  /// `<s> text </s>` or `<s> text </s></s> pair </s>`, cut as BERT's tokenizer cuts. RoBERTa has
  /// one type for both. An empty pair is none.
  package func encode(_ text: String, pair: String? = nil, maximumTokens: Int) -> TokenSequence {
    guard let pair, !pair.isEmpty else {
      let limit = max(2, maximumTokens) - 2
      return TokenSequence(
        ids: [startToken] + tokens(text, limit: limit).prefix(limit) + [endToken])
    }
    let (first, second) = (tokens(text, limit: .max), tokens(pair, limit: .max))
    let kept = TokenSequence.longestFirst(
      first.count, second.count, limit: max(4, maximumTokens) - 4)
    return TokenSequence(
      ids: [startToken] + first.prefix(kept.first) + [endToken, endToken]
        + second.prefix(kept.second) + [endToken])
  }

  /// The tokens of a text without special ones around it; may stop once there are `limit`.
  private func tokens(_ text: String, limit: Int) -> [Int32] {
    var tokens: [Int32] = []
    let scalars = text.unicodeScalars
    var start = scalars.startIndex
    var index = start
    while index < scalars.endIndex, tokens.count < limit {
      let special =
        scalars[index] == "<"
        ? specialTokens.first { scalars[index...].starts(with: $0.name) } : nil
      guard let special else {
        index = scalars.index(after: index)
        continue
      }
      var end = index
      if special.takesSpaces {
        while end > start,
          ByteLevelClasses.shared[scalars[scalars.index(before: end)]] == .space
        { end = scalars.index(before: end) }
      }
      append(scalars[start..<end], to: &tokens, limit: limit)
      tokens.append(special.token)
      index = scalars.index(index, offsetBy: special.name.count)
      start = index
    }
    append(scalars[start...], to: &tokens, limit: limit)
    return tokens
  }

  private func append(
    _ text: Substring.UnicodeScalarView, to tokens: inout [Int32], limit: Int
  ) {
    guard !text.isEmpty else { return }
    let prefixed =
      addsPrefixSpace && text.first != " " ? (" " + String(text))[...].unicodeScalars : text
    ByteLevelSplitter(prefixed).forEachPiece { piece in
      tokens += merged(piece)
      return tokens.count < limit
    }
  }

  /// A pass joins the pair of the lowest rank everywhere, so there are no more passes than
  /// different pairs.
  private func merged(_ piece: [UInt8]) -> [Int32] {
    var tokens = piece.map { byteTokens[Int($0)] }
    while tokens.count > 1 {
      var best: Merge?
      for (left, right) in zip(tokens, tokens.dropFirst()) {
        guard let merge = merges[Self.pair(left, right)] else { continue }
        if merge.rank < best?.rank ?? .max { best = merge }
      }
      guard let best else { break }
      var kept = 0
      var index = 0
      while index < tokens.count {
        let isJoined =
          index + 1 < tokens.count
          && merges[Self.pair(tokens[index], tokens[index + 1])]?.rank == best.rank
        tokens[kept] = isJoined ? best.token : tokens[index]
        kept += 1
        index += isJoined ? 2 : 1
      }
      tokens.removeLast(tokens.count - kept)
    }
    return tokens
  }

  @inline(__always)
  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// The printable character that stands for each byte in vocabularies.
  private static let byteSymbols: [String] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).map { byte in
      let isItself = [33...126, 161...172, 174...255].contains { $0.contains(byte) }
      defer { if !isItself { next += 1 } }
      return Unicode.Scalar(isItself ? byte : next).map { String($0) } ?? ""
    }
  }()
}
