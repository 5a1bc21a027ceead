import Hashing

extension MerkleTree {
  /// Whether `leaf` stands at `index` of the tree with this size and root.
  ///
  /// Takes nothing on trust: a proof that is too short, too long or for another place is refused.
  ///
  /// - Parameter leaf: the leaf's hash.
  /// - SeeAlso: RFC 9162, section 2.1.3.2.
  package static func verifyInclusion(
    leaf: Digest, index: UInt64, size: UInt64, proof: [Digest], root: Digest
  ) -> Bool {
    guard index < size else { return false }
    var (node, last) = (index, size - 1)
    var hash = leaf
    for sibling in proof {
      guard last > 0 else { return false }
      if node & 1 == 1 || node == last {
        hash = nodeHash(sibling, hash)
        climb(&node, &last)
      } else {
        hash = nodeHash(hash, sibling)
      }
      node >>= 1
      last >>= 1
    }
    return last == 0 && hash == root
  }

  /// Whether the tree with the old size and root is the beginning of the one with the new.
  ///
  /// - SeeAlso: RFC 9162, section 2.1.4.2.
  package static func verifyConsistency(
    oldSize: UInt64, oldRoot: Digest, newSize: UInt64, newRoot: Digest, proof: [Digest]
  ) -> Bool {
    guard oldSize <= newSize else { return false }
    if oldSize == newSize { return proof.isEmpty && oldRoot == newRoot }
    if oldSize == 0 { return proof.isEmpty && oldRoot == emptyRoot }
    guard !proof.isEmpty else { return false }

    var path = proof[...]
    var (node, last) = (oldSize - 1, newSize - 1)
    while node & 1 == 1 {
      node >>= 1
      last >>= 1
    }
    // A complete old tree is a node of the new one, and the proof leaves out its known root.
    let start = oldSize & (oldSize - 1) == 0 ? oldRoot : path.removeFirst()
    var (old, new) = (start, start)
    for sibling in path {
      guard last > 0 else { return false }
      if node & 1 == 1 || node == last {
        old = nodeHash(sibling, old)
        new = nodeHash(sibling, new)
        climb(&node, &last)
      } else {
        new = nodeHash(new, sibling)
      }
      node >>= 1
      last >>= 1
    }
    return last == 0 && old == oldRoot && new == newRoot
  }

  /// Skips the levels at which a node has no sibling and is its own parent.
  private static func climb(_ node: inout UInt64, _ last: inout UInt64) {
    while node & 1 == 0 && node != 0 {
      node >>= 1
      last >>= 1
    }
  }
}
