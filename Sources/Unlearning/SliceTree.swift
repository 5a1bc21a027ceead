import Hashing

/// A slice's digest, kept as a tree so that a removal recomputes one path of it.
///
/// The tree is a trie over the records' digests, as drawn in `Protocols/block-key.md`: what it says
/// depends on the records present alone, never on the order in which others left. Places are the
/// records' positions in one ascending list of digests, which the caller keeps; the digest of a
/// place that has left is never asked for again.
///
/// Nodes stand in preorder, so that a left child is the next one. A node that has come down to a
/// leaf's size is hashed as a leaf, whatever was once below it.
package struct SliceTree: Sendable {
  private struct Node {
    var hash: Digest
    var recordCount: UInt32
    /// Index of the right child; 0 where there never were children.
    var right: UInt32
    /// The first place below the node; the next node's first place ends it.
    var first: UInt32
  }

  private var nodes: [Node] = []
  /// A bit for every place that is present.
  private var present: [UInt64]
  private let placeCount: Int

  package var recordCount: Int { Int(nodes[0].recordCount) }
  package var digest: Digest { nodes[0].hash }

  /// Builds the tree of all places that are present.
  ///
  /// - Parameter digest: The digest at a place, ascending over those present.
  package init(placeCount: Int, isPresent: (Int) -> Bool = { _ in true }, digest: (Int) -> Digest) {
    precondition(placeCount < UInt32.max)
    self.placeCount = placeCount
    present = Array(repeating: 0, count: (placeCount + 63) / 64)
    var places: [UInt32] = []
    for place in 0..<placeCount where isPresent(place) {
      present[place / 64] |= 1 << UInt64(place % 64)
      places.append(UInt32(place))
    }
    build(places[...], bit: 0, digest)
    // Growing left room for more nodes, and there will never be more.
    nodes = nodes.withUnsafeBufferPointer { Array($0) }
  }

  package func contains(_ place: Int) -> Bool { presence.contains(place) }

  /// Which places are present, apart from the tree.
  package var presence: Presence { Presence(bits: present) }

  package struct Presence: Sendable {
    fileprivate let bits: [UInt64]

    package func contains(_ place: Int) -> Bool {
      bits[place / 64] >> UInt64(place % 64) & 1 == 1
    }
  }

  /// Takes places out; those that are not present are ignored.
  ///
  /// - Parameter places: Ascending.
  package mutating func remove(_ places: [Int], digest: (Int) -> Digest) {
    let leaving = places.filter(contains)
    guard !leaving.isEmpty else { return }
    for place in leaving { present[place / 64] &= ~(1 << UInt64(place % 64)) }
    update(0, end: placeCount, leaving[...], digest)
  }

  private mutating func build(_ places: ArraySlice<UInt32>, bit: Int, _ digest: (Int) -> Digest) {
    let node = nodes.count
    let first = places.first ?? 0
    guard places.count > SliceDigest.leafLimit else {
      let hash = SliceDigest.leaf(places.map { digest(Int($0)) })
      nodes.append(
        Node(hash: hash, recordCount: UInt32(places.count), right: 0, first: first))
      return
    }
    nodes.append(
      Node(hash: SliceDigest.empty, recordCount: UInt32(places.count), right: 0, first: first))
    let middle = SliceDigest.middle(places) { digest(Int($0)).bit(bit) }
    build(places[..<middle], bit: bit + 1, digest)
    nodes[node].right = UInt32(nodes.count)
    // An empty right half begins where the left one ends.
    let end = middle < places.endIndex ? places[middle] : places[middle - 1] + 1
    let right = nodes.count
    build(places[middle...], bit: bit + 1, digest)
    nodes[right].first = end
    // An empty left half takes up no place: every place of this node is the right one's.
    if middle == places.startIndex { nodes[node + 1].first = first }
    nodes[node].hash = SliceDigest.inner(
      recordCount: places.count, nodes[node + 1].hash, nodes[right].hash)
  }

  private mutating func update(
    _ node: Int, end: Int, _ leaving: ArraySlice<Int>, _ digest: (Int) -> Digest
  ) {
    nodes[node].recordCount -= UInt32(leaving.count)
    let right = Int(nodes[node].right)
    if right != 0 {
      let border = Int(nodes[right].first)
      let middle = SliceDigest.middle(leaving) { $0 >= border }
      if middle > leaving.startIndex {
        update(node + 1, end: border, leaving[..<middle], digest)
      }
      if middle < leaving.endIndex { update(right, end: end, leaving[middle...], digest) }
    }
    if Int(nodes[node].recordCount) > SliceDigest.leafLimit {
      nodes[node].hash = SliceDigest.inner(
        recordCount: Int(nodes[node].recordCount), nodes[node + 1].hash, nodes[right].hash)
    } else {
      var digests: [Digest] = []
      collect(node, end: end, into: &digests, digest)
      nodes[node].hash = SliceDigest.leaf(digests)
    }
  }

  /// The digests below a node, ascending; goes down only where there are any.
  private func collect(
    _ node: Int, end: Int, into digests: inout [Digest], _ digest: (Int) -> Digest
  ) {
    guard nodes[node].recordCount > 0 else { return }
    let right = Int(nodes[node].right)
    guard right != 0 else {
      for place in Int(nodes[node].first)..<end where contains(place) {
        digests.append(digest(place))
      }
      return
    }
    collect(node + 1, end: Int(nodes[right].first), into: &digests, digest)
    collect(right, end: end, into: &digests, digest)
  }
}

extension SliceTree: Equatable {
  /// Equal where the same places are present: the rest follows.
  package static func == (left: Self, right: Self) -> Bool {
    left.placeCount == right.placeCount && left.present == right.present
      && left.digest == right.digest
  }
}

/// The hashes of a slice's tree; the grammar stands in `Protocols/block-key.md`.
enum SliceDigest {
  /// A node over more records than these has children.
  static let leafLimit = 16

  /// The digest of no records.
  static let empty = leaf([])

  /// - Parameter digests: Ascending, at most `leafLimit`.
  static func leaf(_ digests: [Digest]) -> Digest {
    var hasher = leafHasher
    update(&hasher, UInt32(digests.count))
    for digest in digests { digest.withUnsafeBytes { hasher.update($0) } }
    return hasher.finalize()
  }

  static func inner(recordCount: Int, _ left: Digest, _ right: Digest) -> Digest {
    var hasher = innerHasher
    update(&hasher, UInt64(recordCount))
    left.withUnsafeBytes { hasher.update($0) }
    right.withUnsafeBytes { hasher.update($0) }
    return hasher.finalize()
  }

  /// The same for all records at once, ascending: what the tree must come to.
  static func root(_ digests: ArraySlice<Digest>, bit: Int = 0) -> Digest {
    guard digests.count > leafLimit else { return leaf(Array(digests)) }
    let middle = middle(digests) { $0.bit(bit) }
    return inner(
      recordCount: digests.count, root(digests[..<middle], bit: bit + 1),
      root(digests[middle...], bit: bit + 1))
  }

  /// The first index for which `isRight` holds, given that it holds for all later ones.
  static func middle<Element>(
    _ elements: ArraySlice<Element>, isRight: (Element) -> Bool
  ) -> Int {
    var (low, high) = (elements.startIndex, elements.endIndex)
    while low < high {
      let middle = (low + high) / 2
      if isRight(elements[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private static let leafHasher = hasher(saying: "lethe-slice-leaf-2")
  private static let innerHasher = hasher(saying: "lethe-slice-node-2")

  private static func hasher(saying word: String) -> SHA256 {
    var hasher = SHA256()
    update(&hasher, UInt32(word.utf8.count))
    hasher.update(word.utf8)
    return hasher
  }

  private static func update(_ hasher: inout SHA256, _ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { hasher.update($0) }
  }
}
