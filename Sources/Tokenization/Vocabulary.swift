import ByteCoding

/// Why a vocabulary cannot be used.
package enum VocabularyError: Error, Equatable, Sendable {
  /// There is no token in it.
  case empty
  /// Larger than any published vocabulary.
  case tooLarge(byteCount: Int, limit: Int)
  case notUTF8(line: Int)
  /// A line holds no token; the tokens after it would all be off by one.
  case emptyToken(line: Int)
  /// The token of this line stands in an earlier line too.
  case duplicateToken(line: Int, firstLine: Int)
  /// `[UNK]`, `[CLS]` or `[SEP]` is not in it.
  case missingSpecialTokens([String])
}

/// The tokens of a `vocab.txt`, indexed by their bytes.
///
/// A prefix tree: its edges are in one open-addressed hash table, so walking a word costs one probe
/// a byte. A token's number is the number of its line, from 0.
struct Vocabulary: Sendable {
  static let byteLimit = 16 << 20

  /// A node of the tree; the root is 0.
  typealias Node = UInt32

  let count: Int
  /// Where pieces that continue a word begin (after `##`); `nil` if there are none.
  let continuationRoot: Node?
  /// An edge in the upper half (node and byte), its target in the lower; 0 is a free slot.
  private let slots: [UInt64]
  /// The token that ends at each node, or −1.
  private let tokens: [Int32]

  init(_ bytes: [UInt8]) throws(VocabularyError) {
    guard bytes.count <= Self.byteLimit else {
      throw .tooLarge(byteCount: bytes.count, limit: Self.byteLimit)
    }
    // At most one node, and so one edge, a byte; half of the slots stay free.
    var slotCount = 1024
    while slotCount < 2 * (bytes.count + 1) { slotCount *= 2 }
    var slots = [UInt64](repeating: 0, count: slotCount)
    var tokens: [Int32] = [-1]
    var line = 0
    for read in TextLines(bytes) {
      line = read.number
      let token = read.bytes
      guard !token.isEmpty else { throw .emptyToken(line: line) }
      guard String(validating: token, as: UTF8.self) != nil else { throw .notUTF8(line: line) }
      var node: Node = 0
      for byte in token {
        let slot = Self.slot(of: byte, after: node, in: slots)
        if slots[slot] == 0 {
          slots[slot] = UInt64(Self.edge(byte, after: node)) << 32 | UInt64(tokens.count)
          tokens.append(-1)
        }
        node = Node(truncatingIfNeeded: slots[slot])
      }
      let earlier = tokens[Int(node)]
      guard earlier < 0 else { throw .duplicateToken(line: line, firstLine: Int(earlier) + 1) }
      tokens[Int(node)] = Int32(line - 1)
    }
    guard line > 0 else { throw .empty }
    self.slots = slots
    self.tokens = tokens
    count = line
    continuationRoot = Self.walk("##".utf8, in: slots)
  }

  /// The number of a whole token.
  func token(_ text: String) -> Int32? {
    guard let node = Self.walk(text.utf8, in: slots), tokens[Int(node)] >= 0 else { return nil }
    return tokens[Int(node)]
  }

  /// The longest token that `word` continues with at `start`, walking from `root`.
  @inline(__always)
  func longestMatch(in word: [UInt8], from start: Int, root: Node) -> (token: Int32, end: Int)? {
    var node = root
    var best: (token: Int32, end: Int)?
    for index in start..<word.count {
      let found = slots[Self.slot(of: word[index], after: node, in: slots)]
      if found == 0 { break }
      node = Node(truncatingIfNeeded: found)
      if tokens[Int(node)] >= 0 { best = (tokens[Int(node)], index + 1) }
    }
    return best
  }

  private static func walk(_ text: some Sequence<UInt8>, in slots: [UInt64]) -> Node? {
    var node: Node = 0
    for byte in text {
      let found = slots[slot(of: byte, after: node, in: slots)]
      if found == 0 { return nil }
      node = Node(truncatingIfNeeded: found)
    }
    return node
  }

  /// Fits 32 bits, as there are at most 2²⁴ nodes.
  @inline(__always)
  private static func edge(_ byte: UInt8, after node: Node) -> UInt32 {
    node << 8 | UInt32(byte)
  }

  /// The slot that holds an edge, or the free one where it belongs.
  @inline(__always)
  private static func slot(of byte: UInt8, after node: Node, in slots: [UInt64]) -> Int {
    let edge = edge(byte, after: node)
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: (UInt64(edge) &* 0x9e37_79b9_7f4a_7c15) >> 32) & mask
    while slots[slot] != 0, UInt32(truncatingIfNeeded: slots[slot] >> 32) != edge {
      slot = (slot + 1) & mask
    }
    return slot
  }
}
