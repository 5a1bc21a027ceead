internal import Numerics

/// Where the records of a batch stand when their tokens are packed end to end.
struct TokenLayout {
  /// First token of each record, and the number of all tokens at the end.
  private(set) var starts: [Int] = [0]
  /// First score of each record's attention, and the number of all scores at the end.
  private(set) var scoreStarts: [Int] = [0]
  let heads: Int

  init(heads: Int, recordCapacity: Int = 0) {
    self.heads = heads
    starts.reserveCapacity(recordCapacity + 1)
    scoreStarts.reserveCapacity(recordCapacity + 1)
  }

  var recordCount: Int { starts.count - 1 }
  var tokenCount: Int { starts[recordCount] }
  var scoreCount: Int { scoreStarts[scoreStarts.count - 1] }

  func length(_ record: Int) -> Int { starts[record + 1] - starts[record] }

  mutating func removeAll() {
    starts.removeAll(keepingCapacity: true)
    starts.append(0)
    scoreStarts.removeAll(keepingCapacity: true)
    scoreStarts.append(0)
  }

  mutating func append(length: Int) {
    starts.append(tokenCount + length)
    scoreStarts.append(scoreCount + Self.scoreCount(length: length, heads: heads))
  }

  /// Attention scores of one record: a padded square per head.
  static func scoreCount(length: Int, heads: Int) -> Int {
    heads * length * Kernels.paddedWidth(length)
  }
}

/// The largest part of a batch that a pass must hold.
struct BatchBounds {
  var tokens: Int
  var scores: Int
  var longest: Int

  /// A step goes through its batch in parts of at most so many tokens, or of one longer record.
  ///
  /// Memory then does not grow with the batch, and what a layer leaves for the next is still in
  /// the cache. A part of the engine's version: gradients are added up part by part.
  static let partTokenCount = 1024
}
