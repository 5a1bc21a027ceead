/// What one request for predictions may hold, and how it is cut for workers.
///
/// Tokens are bounded with the bytes, as a token has at least one.
package enum PredictionLimits {
  /// Texts and bytes of a request.
  package static let textCount = 1_000
  package static let byteCount = 1 << 20
  /// Texts and bytes that a worker is asked about at a time; also what `lethe predict` asks for.
  package static let pieceTextCount = 64
  package static let pieceByteCount = 64 << 10

  package static func byteCount(of item: PredictionRequest.Item) -> Int {
    item.text.utf8.count + (item.textPair?.utf8.count ?? 0)
  }

  /// Ranges of texts that are asked about together, in order; a long text goes alone.
  package static func ranges(of items: [PredictionRequest.Item]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var (start, bytes) = (0, 0)
    for (index, item) in items.enumerated() {
      let count = byteCount(of: item)
      let isFull = index - start >= pieceTextCount || bytes + count > pieceByteCount
      if index > start, isFull {
        ranges.append(start..<index)
        (start, bytes) = (index, 0)
      }
      bytes += count
    }
    if start < items.count { ranges.append(start..<items.count) }
    return ranges
  }
}
