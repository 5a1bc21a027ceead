import Foundation
import Hashing
import JournalFormat
import Testing

/// The bytes of `Protocols/vectors/journal.txt`, which a separate implementation made.
@Suite("Journal: vectors") struct VectorTests {
  let words: [String: [String]]
  let blocks: [String: [UInt8]]

  init() throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(
      contentsOf: root.appending(path: "Protocols/vectors/journal.txt"), encoding: .utf8)
    var words: [String: [String]] = [:]
    var blocks: [String: String] = [:]
    var name = ""
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      if line.hasPrefix("  ") {
        blocks[name, default: ""] += line.drop { $0 == " " }
      } else {
        let parts = line.split(separator: " ").map(String.init)
        name = parts[0...1].joined(separator: " ")
        words[name] = parts
      }
    }
    self.words = words
    self.blocks = blocks.compactMapValues { Array(hex: $0) }
  }

  private func payload(_ sequence: Int) throws -> [UInt8] {
    let line = try #require(words["payload \(sequence)"])
    return line[4] == "-" ? [] : try #require(Array(hex: line[4]))
  }

  private func chain(_ sequence: Int) throws -> Digest {
    let line = try #require(words["chain \(sequence)"])
    return try #require(Digest(hex: line[2]))
  }

  @Test("are what is written")
  func encodes() throws {
    let nonce = try #require(Digest((0..<32).map(UInt8.init)))
    let header = SegmentHeader(beginning: nonce)
    let first = SegmentFrame.encode(
      batch: [try payload(1), try payload(2)], firstSequence: 1, epoch: 1, after: header.chain)
    let second = SegmentFrame.encode(
      batch: [try payload(3)], firstSequence: 3, epoch: 1, after: first.chain)
    #expect(try second.chain == chain(3))
    #expect(header.encoded + first.bytes + second.bytes == blocks["segment 1"])
    let next = SegmentHeader(firstSequence: 4, chain: second.chain, nonce: nonce)
    let third = SegmentFrame.encode(
      batch: [try payload(4)], firstSequence: 4, epoch: 2, after: second.chain)
    #expect(try third.chain == chain(4))
    #expect(next.encoded + third.bytes == blocks["segment 4"])
    let snapshot = SnapshotFile.encode(Array("state".utf8), through: 3, chain: second.chain)
    #expect(snapshot.file == blocks["snapshot 3"])
  }

  @Test("are read back, also with the batch a crash cut off")
  func recovers() throws {
    let spare = [UInt8](repeating: 0, count: 512)
    let first = try #require(blocks["segment 1"]) + spare
    let whole = try #require(blocks["segment 4"])
    let torn = try #require(blocks["torn 4"])
    for a in [whole, torn] {
      var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
      _ = try walk.take(TwinSegment(a: first, b: first, firstSequence: 1), following: 4)
      let twin = TwinSegment(a: a + spare, b: whole + spare, firstSequence: 4)
      let repair = try walk.take(twin, following: nil)
      #expect(walk.payloads == (try (1...4).map(payload)) && walk.epochs == [1, 1, 1, 2])
      #expect(walk.end == JournalWalk.Base(sequence: 4, chain: try chain(4)))
      #expect(repair.drop?.range == (a == torn ? whole.count..<torn.count : nil))
    }
    let file = try #require(blocks["snapshot 3"])
    let snapshot = try #require(SnapshotFile(file, named: 3))
    #expect(try snapshot.bytes == Array("state".utf8) && snapshot.chain == chain(3))
    let base = JournalWalk.Base(sequence: 3, chain: snapshot.chain)
    #expect(JournalWalk.segments([1, 4], after: base) == [4])
  }
}
