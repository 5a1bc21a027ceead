import Foundation
import Hashing
import Ledger
import TestKit
import Testing

@Suite("Merkle tree") struct MerkleTreeTests {
  /// The leaves of the Certificate Transparency reference tests.
  static let reference = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ].map { MerkleTree.leafHash(Array(hex: $0)!) }

  static let leaves = (0..<64).map { MerkleTree.leafHash([UInt8($0)]) }

  @Test(
    "has the published roots",
    arguments: [
      (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
      (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
      (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
      (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
      (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
      (6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
      (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
      (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ])
  func published(size: Int, root: String) {
    #expect(MerkleTree.root(of: Self.reference.prefix(size)).hex == root)
    #expect(MerkleTree(Self.reference).root(ofFirst: size).hex == root)
  }

  @Test("has the published proofs")
  func publishedProofs() {
    let tree = MerkleTree(Self.reference)
    #expect(
      tree.inclusionProof(of: 5, inFirst: 8).map(\.hex) == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ])
    #expect(
      tree.consistencyProof(from: 6, toFirst: 8).map(\.hex) == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ])
  }

  /// The definition, word for word (RFC 9162, section 2.1.1).
  static func plainRoot(_ leaves: ArraySlice<Digest>) -> Digest {
    guard leaves.count > 1 else { return leaves.first ?? SHA256.hash([]) }
    var left = 1
    while left * 2 < leaves.count { left *= 2 }
    let middle = leaves.startIndex + left
    return SHA256.hash(
      [1] + plainRoot(leaves[..<middle]).bytes + plainRoot(leaves[middle...]).bytes)
  }

  @Test("equals the definition at every size")
  func definition() {
    for size in 0...64 {
      #expect(MerkleTree.root(of: Self.leaves.prefix(size)) == Self.plainRoot(Self.leaves[..<size]))
    }
  }

  @Test("proves every leaf of every size, and no leaf at another place")
  func inclusion() throws {
    let tree = MerkleTree(Self.leaves)
    for size in 1...64 {
      let root = tree.root(ofFirst: size)
      for index in 0..<size {
        let proof = tree.inclusionProof(of: index, inFirst: size)
        if size == 64 { #expect(proof == MerkleTree.inclusionProof(of: index, in: Self.leaves)) }
        func accepts(_ leaf: Digest, _ index: Int, _ size: Int, _ proof: [Digest]) -> Bool {
          MerkleTree.verifyInclusion(
            leaf: leaf, index: UInt64(index), size: UInt64(size), proof: proof, root: root)
        }
        try #require(accepts(Self.leaves[index], index, size, proof))
        for other in 0...size where other != index {
          try #require(!accepts(Self.leaves[index], other, size, proof))
        }
        try #require(!accepts(Self.leaves[(index + 1) % 64], index, size, proof))
        try #require(!accepts(Self.leaves[index], index, size, proof + [root]))
        if !proof.isEmpty {
          try #require(!accepts(Self.leaves[index], index, size, proof.dropLast()))
          try #require(!accepts(Self.leaves[index], index, size, Array(proof.dropFirst())))
        }
      }
    }
  }

  @Test("proves every size to be the beginning of every later one")
  func consistency() throws {
    let tree = MerkleTree(Self.leaves)
    for newSize in 0...64 {
      for oldSize in 0...newSize {
        let proof = tree.consistencyProof(from: oldSize, toFirst: newSize)
        if newSize == 64 {
          #expect(proof == MerkleTree.consistencyProof(from: oldSize, in: Self.leaves))
        }
        let (old, new) = (tree.root(ofFirst: oldSize), tree.root(ofFirst: newSize))
        func accepts(_ oldSize: Int, _ old: Digest, _ new: Digest, _ proof: [Digest]) -> Bool {
          MerkleTree.verifyConsistency(
            oldSize: UInt64(oldSize), oldRoot: old, newSize: UInt64(newSize), newRoot: new,
            proof: proof)
        }
        try #require(accepts(oldSize, old, new, proof))
        let wrong = MerkleTree.leafHash([1, 2, 3])
        // Of two equal roots neither may be exchanged, nor a hash added or taken away.
        try #require(!accepts(oldSize, wrong, new, proof))
        // Every tree begins with the empty one, so its old root says nothing about the new.
        if oldSize > 0 { try #require(!accepts(oldSize, old, wrong, proof)) }
        try #require(!accepts(oldSize, old, new, proof + [wrong]))
        if !proof.isEmpty {
          try #require(!accepts(oldSize, old, new, proof.dropLast()))
          try #require(!accepts(oldSize, old, new, Array(proof.dropFirst())))
        }
        try #require(oldSize == newSize || !accepts(newSize + 1, old, new, proof))
      }
    }
  }

  @Test("refuses a proof with any one bit changed", arguments: [1, 2, 3, 7, 8, 11, 37])
  func bits(size: Int) throws {
    let tree = MerkleTree(Self.leaves)
    let root = tree.root(ofFirst: size)
    for index in 0..<size {
      for proof in tree.inclusionProof(of: index, inFirst: size).withOneBitChanged() {
        try #require(
          !MerkleTree.verifyInclusion(
            leaf: Self.leaves[index], index: UInt64(index), size: UInt64(size), proof: proof,
            root: root))
      }
      for proof in tree.consistencyProof(from: index, toFirst: size).withOneBitChanged() {
        try #require(
          !MerkleTree.verifyConsistency(
            oldSize: UInt64(index), oldRoot: tree.root(ofFirst: index), newSize: UInt64(size),
            newRoot: root, proof: proof))
      }
    }
  }

  @Test("bears sizes no memory could hold")
  func huge() {
    let proof = [Digest](repeating: Self.leaves[0], count: 70)
    #expect(
      !MerkleTree.verifyInclusion(
        leaf: Self.leaves[0], index: .max - 1, size: .max, proof: proof, root: Self.leaves[1]))
    #expect(
      !MerkleTree.verifyConsistency(
        oldSize: .max - 1, oldRoot: Self.leaves[0], newSize: .max, newRoot: Self.leaves[1],
        proof: proof))
  }

  @Test(
    "proves one of 100,000 leaves, and says how long that took",
    .disabled(if: Pace.sanitizer != nil, "SKIPPED: too much for a sanitizer"))
  func large() {
    let leaves = (0..<100_000).map { index in
      SHA256.hash([UInt8(index & 255), UInt8(index >> 8 & 255), UInt8(index >> 16)])
    }
    let clock = ContinuousClock()
    var proof: [Digest] = []
    let time = clock.measure { proof = MerkleTree.inclusionProof(of: 77_777, in: leaves) }
    print("one inclusion proof from 100,000 bare leaf hashes: \(time)")
    #expect(
      MerkleTree.verifyInclusion(
        leaf: leaves[77_777], index: 77_777, size: 100_000, proof: proof,
        root: MerkleTree.root(of: leaves)))
  }
}

extension [Digest] {
  /// Every list that differs from this one in a single bit.
  func withOneBitChanged() -> some Sequence<[Digest]> {
    indices.lazy.flatMap { place in
      (0..<Digest.byteCount * 8).lazy.map { bit in
        var bytes = self[place].bytes
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        var changed = self
        changed[place] = Digest(bytes)!
        return changed
      }
    }
  }
}
