import Hashing

/// Changes valid inputs a little: the same seed and corpus give the same inputs.
package struct Mutator: Sendable {
  private let corpus: [[UInt8]]
  private var random: SeededGenerator

  /// An input never grows beyond this.
  package static let byteLimit = 64 << 10

  /// - Precondition: the corpus is not empty.
  package init(corpus: [[UInt8]], seed: UInt64) {
    precondition(!corpus.isEmpty)
    self.corpus = corpus
    random = SeededGenerator(seed: seed)
  }

  /// The next input: an entry of the corpus after one to eight changes.
  package mutating func next() -> [UInt8] {
    var bytes = corpus[number(below: corpus.count)]
    // Mostly few changes: many of them rarely leave anything that is parsed far.
    let changeCount = 1 + min(number(below: 8), number(below: 8))
    for _ in 0..<changeCount { change(&bytes) }
    return Array(bytes.prefix(Self.byteLimit))
  }

  private mutating func change(_ bytes: inout [UInt8]) {
    let place = number(below: bytes.count + 1)
    switch number(below: 10) {
    case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8(number(below: 8))
    case 1 where place < bytes.count: bytes[place] = UInt8(number(below: 256))
    case 2 where place < bytes.count: bytes[place] &+= number(below: 2) == 0 ? 1 : .max
    case 3: bytes.insert(contentsOf: noise(), at: place)
    case 4: bytes.removeSubrange(place..<min(bytes.count, place + 1 + number(below: 16)))
    case 5 where number(below: 4) == 0: bytes.removeSubrange(place...)
    case 6: bytes = Array(bytes[..<place] + tail())
    case 7: repeatRange(&bytes, from: place)
    case 8: overwrite(&bytes, at: place, with: digits())
    default: overwrite(&bytes, at: place, with: integer())
    }
  }

  /// Up to eight random bytes.
  private mutating func noise() -> [UInt8] {
    (0...number(below: 8)).map { _ in UInt8(number(below: 256)) }
  }

  /// The end of another entry, for a splice.
  private mutating func tail() -> ArraySlice<UInt8> {
    let other = corpus[number(below: corpus.count)]
    return other[number(below: other.count + 1)...]
  }

  /// Doubles a stretch, as a repeated field or name would be.
  private mutating func repeatRange(_ bytes: inout [UInt8], from start: Int) {
    let end = min(bytes.count, start + 1 + number(below: 64))
    guard start < end else { return }
    bytes.insert(contentsOf: bytes[start..<end], at: end)
  }

  /// Numbers at the edges of their types, and lengths that are off by one.
  private mutating func edge() -> UInt64 {
    let edges: [UInt64] = [
      0, 1, 2, 9, 127, 128, 255, 256, 65_535, 65_536, 1 << 20, (1 << 31) - 1, 1 << 31,
      (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, .max - 1, .max,
    ]
    return edges[number(below: edges.count)] &+ UInt64(number(below: 3)) &- 1
  }

  private mutating func integer() -> [UInt8] {
    let value = edge()
    let width = [1, 2, 4, 8][number(below: 4)]
    return (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  private mutating func digits() -> [UInt8] {
    let texts = ["-1", "1e400", "1e308", "-0", "0x10", "null", "\"\"", "[]", "\r\n", "\u{301}"]
    let choice = number(below: texts.count + 8)
    return Array((choice < texts.count ? texts[choice] : "\(edge())").utf8)
  }

  private func overwrite(_ bytes: inout [UInt8], at place: Int, with new: [UInt8]) {
    bytes.replaceSubrange(place..<min(bytes.count, place + new.count), with: new)
  }

  private mutating func number(below limit: Int) -> Int {
    Int(random.next() % UInt64(limit))
  }
}
