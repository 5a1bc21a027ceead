/// The normalised words of a text as they are, without a vocabulary.
///
/// What `lethe`'s tokenizer sees before it looks words up; tests compare it with the reference.
package func normalizedWords(_ text: String, _ normalization: TextNormalization) -> [[UInt8]] {
  var splitter = WordSplitter(normalization, into: WordCollector())
  var text = text
  text.withUTF8 { splitter.split($0) }
  return splitter.sink.words
}

private struct WordCollector: WordSink {
  var words: [[UInt8]] = []
  var isFull: Bool { false }

  mutating func take(_ bytes: [UInt8], scalarCount: Int) {
    words.append(bytes)
  }
}
