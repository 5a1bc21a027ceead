import Hashing

/// A Merkle tree over leaf hashes, as RFC 6962 and RFC 9162 define it.
///
/// A plain value that grows at its end. It keeps the root of every complete subtree, so appending
/// costs one hash on average and a root or a proof for any earlier size a logarithmic number:
///
/// ```
/// level 2        ┌──── ab ────┐
/// level 1     ┌─ a ─┐      ┌─ b ─┐     · ·
/// level 0     0     1      2     3     4      five leaves; the root is node(level 2[0], leaf 4)
/// ```
///
/// - SeeAlso: RFC 9162, section 2.1.
package struct MerkleTree: Equatable, Sendable {
  /// `levels[height][index]` is the root of leaves `index << height ..< (index + 1) << height`.
  private var levels: [[Digest]] = [[]]

  package init() {}

  package init(_ leafHashes: some Sequence<Digest>) {
    for hash in leafHashes { append(hash) }
  }

  package var count: Int { levels[0].count }
  package var leafHashes: [Digest] { levels[0] }

  /// The root over every leaf; the SHA-256 of nothing for an empty tree.
  package var root: Digest { root(ofFirst: count) }

  package mutating func append(_ leafHash: Digest) {
    levels[0].append(leafHash)
    var height = 0
    while levels[height].count.isMultiple(of: 2) {
      if height + 1 == levels.count { levels.append([]) }
      let pair = levels[height].suffix(2)
      levels[height + 1].append(Self.nodeHash(pair[pair.startIndex], pair[pair.startIndex + 1]))
      height += 1
    }
  }

  /// The root the tree had when it held `size` leaves.
  ///
  /// - Precondition: `0 <= size <= count`.
  package func root(ofFirst size: Int) -> Digest {
    precondition((0...count).contains(size), "a size the tree has had")
    return size == 0 ? Self.emptyRoot : subtree(0..<size)
  }

  /// The hashes that lead from one leaf to the root of the first `size` leaves, lowest first.
  ///
  /// - Precondition: `0 <= index < size <= count`.
  package func inclusionProof(of index: Int, inFirst size: Int) -> [Digest] {
    precondition(size <= count && (0..<size).contains(index), "a leaf the tree holds")
    var range = 0..<size
    var proof: [Digest] = []
    while range.count > 1 {
      let (left, right) = Self.split(range)
      proof.append(subtree(left.contains(index) ? right : left))
      range = left.contains(index) ? left : right
    }
    return proof.reversed()
  }

  /// The hashes that show the tree of `oldSize` leaves to be the beginning of that of `size`.
  ///
  /// Empty when the sizes are equal, and for the empty tree, with which every tree begins.
  ///
  /// - Precondition: `0 <= oldSize <= size <= count`.
  package func consistencyProof(from oldSize: Int, toFirst size: Int) -> [Digest] {
    precondition(size <= count && (0...size).contains(oldSize), "sizes the tree has had")
    guard oldSize > 0 else { return [] }
    var range = 0..<size
    var proof: [Digest] = []
    while range.upperBound != oldSize {
      let (left, right) = Self.split(range)
      let isLeft = oldSize <= left.upperBound
      proof.append(subtree(isLeft ? right : left))
      range = isLeft ? left : right
    }
    // A subtree that begins at the first leaf is the old tree itself, whose root is known.
    if range.lowerBound > 0 { proof.append(subtree(range)) }
    return proof.reversed()
  }

  /// The root over a range that splitting `0..<size` arrives at.
  private func subtree(_ range: Range<Int>) -> Digest {
    guard range.count & (range.count - 1) != 0 else {
      let height = range.count.trailingZeroBitCount
      return levels[height][range.lowerBound >> height]
    }
    let (left, right) = Self.split(range)
    return Self.nodeHash(subtree(left), subtree(right))
  }

  /// Cuts after the largest power of two that leaves something on the right.
  private static func split(_ range: Range<Int>) -> (left: Range<Int>, right: Range<Int>) {
    let leftCount = 1 << (Int.bitWidth - 1 - (range.count - 1).leadingZeroBitCount)
    let middle = range.lowerBound + leftCount
    return (range.lowerBound..<middle, middle..<range.upperBound)
  }
}

extension MerkleTree {
  /// The root of a tree without leaves: SHA-256 of nothing.
  package static let emptyRoot = SHA256.hash([])

  /// SHA-256 of a zero byte and the leaf's bytes.
  package static func leafHash(_ bytes: [UInt8]) -> Digest {
    hash(0x00, bytes, [])
  }

  /// SHA-256 of a one byte and the two hashes.
  package static func nodeHash(_ left: Digest, _ right: Digest) -> Digest {
    hash(0x01, left.bytes, right.bytes)
  }

  private static func hash(_ prefix: UInt8, _ first: [UInt8], _ second: [UInt8]) -> Digest {
    var message: [UInt8] = []
    message.reserveCapacity(1 + first.count + second.count)
    message.append(prefix)
    message += first
    message += second
    return SHA256.hash(message)
  }

  package static func root(of leafHashes: some RandomAccessCollection<Digest>) -> Digest {
    MerkleTree(leafHashes).root
  }

  package static func inclusionProof(
    of index: Int, in leafHashes: some RandomAccessCollection<Digest>
  ) -> [Digest] {
    MerkleTree(leafHashes).inclusionProof(of: index, inFirst: leafHashes.count)
  }

  package static func consistencyProof(
    from oldSize: Int, in leafHashes: some RandomAccessCollection<Digest>
  ) -> [Digest] {
    MerkleTree(leafHashes).consistencyProof(from: oldSize, toFirst: leafHashes.count)
  }
}
