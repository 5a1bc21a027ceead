import Hashing
import Testing
import Unlearning

/// The digest of a slice, written down as its definition says: lists, no tree, nothing kept.
private func plainDigest(_ digests: [Digest], depth: Int = 0) -> Digest {
  func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
  func word(_ text: String) -> [UInt8] { bytes(UInt32(text.utf8.count)) + text.utf8 }
  if digests.count <= 16 {
    return SHA256.hash(
      word("lethe-slice-leaf-2") + bytes(UInt32(digests.count))
        + digests.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) }.joined())
  }
  func half(_ side: UInt8) -> Digest {
    plainDigest(
      digests.filter { $0.bytes[depth / 8] >> UInt8(7 - depth % 8) & 1 == side }, depth: depth + 1)
  }
  return SHA256.hash(
    word("lethe-slice-node-2") + bytes(UInt64(digests.count)) + half(0).bytes + half(1).bytes)
}

@Suite("Slice trees") struct SliceTreeTests {
  struct Row: Sendable, CustomTestStringConvertible {
    var seed: UInt64
    var recordCount: Int
    /// Bits in which all digests agree, so that one side of many nodes is empty.
    var commonBytes: Int
    var because: String
    var testDescription: String { because }
  }

  static let rows = [
    Row(seed: 1, recordCount: 0, commonBytes: 0, because: "nothing there"),
    Row(seed: 2, recordCount: 1, commonBytes: 0, because: "one leaf"),
    Row(seed: 3, recordCount: 16, commonBytes: 0, because: "the fullest leaf"),
    Row(seed: 4, recordCount: 17, commonBytes: 0, because: "the smallest node with children"),
    Row(seed: 5, recordCount: 40, commonBytes: 1, because: "many nodes with an empty side"),
    Row(seed: 6, recordCount: 40, commonBytes: 31, because: "the deepest tree there can be"),
    Row(seed: 7, recordCount: 700, commonBytes: 0, because: "several levels"),
    Row(seed: 8, recordCount: 700, commonBytes: 0, because: "the same in another order"),
  ]

  @Test("any order of removals gives the digest of the records that are left", arguments: rows)
  func removals(_ row: Row) throws {
    var random = SeededGenerator(seed: row.seed)
    var all: Set<Digest> = []
    for number in 0..<row.recordCount {
      var bytes = SHA256.hash([UInt8(number & 255), UInt8(number >> 8)]).bytes
      bytes.replaceSubrange(0..<row.commonBytes, with: repeatElement(0xa5, count: row.commonBytes))
      if row.commonBytes == 31 { bytes[31] = UInt8(number) }
      all.insert(try #require(Digest(bytes)))
    }
    let digests = all.sorted()
    var tree = SliceTree(placeCount: digests.count) { digests[$0] }
    #expect(tree.digest == plainDigest(digests))
    var left = Array(digests.indices)
    while !left.isEmpty {
      left.shuffle(using: &random)
      let count = min(left.count, Int(random.next(upperBound: UInt64(left.count / 3 + 2))))
      let leaving = Array(left.suffix(count))
      left.removeLast(count)
      // A place that has left already changes nothing, and its digest is gone.
      let again = digests.indices.filter { !left.contains($0) && !leaving.contains($0) }.prefix(1)
      tree.remove((leaving + again).sorted()) { place in
        precondition(left.contains(place))
        return digests[place]
      }
      try #require(tree.recordCount == left.count)
      try #require(tree.digest == plainDigest(left.map { digests[$0] }))
      try #require(tree.digest == LineageDigest.slice(recordDigests: left.map { digests[$0] }))
      // Built anew with gaps where records were: the same tree, and it can go on from there.
      let rest = Set(left)
      let anew = SliceTree(placeCount: digests.count, isPresent: rest.contains) { place in
        precondition(rest.contains(place))
        return digests[place]
      }
      try #require(anew == tree)
      if Bool.random(using: &random) { tree = anew }
    }
    #expect(tree.digest == plainDigest([]))
  }
}
