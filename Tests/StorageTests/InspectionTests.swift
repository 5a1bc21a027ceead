import Foundation
import Hashing
import JournalFormat
import Storage
import Testing

@Suite("Journal: offline") struct InspectionTests {
  static let payloads = samplePayloads(30)

  /// Segments 1, 11 and 21 with ten frames each.
  private func threeSegments(snapshotAt: Int? = nil) throws -> JournalPlace {
    let place = JournalPlace()
    let journal = try place.append(Array(Self.payloads[..<10]))
    for start in [10, 20] {
      try journal.rotate()
      for payload in Self.payloads[start..<start + 10] {
        try journal.append([payload], epoch: 1)
        if Int(journal.sequence) == snapshotAt {
          try Journal.writeSnapshot(
            [7], through: journal.sequence, chain: journal.chain, to: place.directories)
        }
      }
    }
    return place
  }

  /// Where a frame begins in its segment.
  private func offset(of sequence: UInt64, _ place: JournalPlace) throws -> Int {
    let first = (sequence - 1) / 10 * 10 + 1
    let scan = SegmentScan(try place.bytes(place.segment(.a, first)), firstSequence: first)
    return scan.frames[Int(sequence - first)].range.lowerBound
  }

  private func spoil(_ sequence: UInt64, _ copies: [JournalCopy], _ place: JournalPlace) throws {
    let offset = try offset(of: sequence, place) + 40
    for copy in copies {
      let path = place.segment(copy, (sequence - 1) / 10 * 10 + 1)
      var bytes = try place.bytes(path)
      bytes[offset] ^= 1
      try place.write(bytes, path)
    }
  }

  @Test("a whole journal is sound")
  func sound() throws {
    let place = try threeSegments(snapshotAt: 20)
    let before = try place.everything()
    let report = try JournalInspection.verify(place.directories)
    #expect(report.isSound && report.end?.sequence == 30 && report.frameCount == 10)
    #expect(report.segments.map(\.frameCount) == Array(repeating: 10, count: 6))
    #expect(report.segments.last?.chain == report.end?.chain)
    #expect(report.snapshots.map(\.isValid) == [true, true])
    #expect(try place.everything() == before)
  }

  @Test("damage is told by copy, path, byte and sequence, and nothing is touched")
  func problems() throws {
    let place = try threeSegments()
    let offset = try offset(of: 15, place)
    try spoil(15, [.b], place)
    try place.remove(place.segment(.a, 21))
    let before = try place.everything()
    let report = try JournalInspection.verify(place.directories)
    #expect(!report.isSound && report.refusal == nil && report.end?.sequence == 30)
    #expect(report.problems.map(\.copy) == [.a, .b])
    #expect(report.problems.map(\.path) == [place.segment(.a, 21), place.segment(.b, 11)])
    #expect(report.problems.last?.byteOffset == offset && report.problems.last?.sequence == 15)
    #expect(try place.everything() == before)
    try spoil(15, [.a], place)
    #expect(try JournalInspection.verify(place.directories).refusal != nil)
  }

  @Test("what is valid in either copy is saved as it was, byte for byte")
  func salvageWhole() throws {
    let place = try threeSegments()
    let output = JournalPlace()
    let whole = try place.everything()
    try spoil(5, [.a], place)
    try spoil(6, [.b], place)
    try place.remove(place.segment(.b, 11))
    let before = try place.everything()
    let report = try JournalInspection.salvage(place.directories, to: output.directories)
    #expect(report.saved == 1...30 && report.lost.isEmpty && report.defect == nil)
    #expect(try place.everything() == before)
    for (path, bytes) in try output.everything() { #expect(bytes == whole[path], "\(path)") }
    #expect(try output.reopen().payloads == Self.payloads)
    #expect(throws: JournalFailure.self, "never over anything") {
      _ = try JournalInspection.salvage(place.directories, to: output.directories)
    }
  }

  struct Row {
    let damaged: UInt64
    let snapshot: Int?
    let saved: ClosedRange<UInt64>?
    let lost: [ClosedRange<UInt64>]
    let because: String
  }

  static let rows = [
    Row(damaged: 5, snapshot: nil, saved: 1...4, lost: [6...30], because: "first segment"),
    Row(damaged: 11, snapshot: nil, saved: 1...10, lost: [12...30], because: "a segment's first"),
    Row(damaged: 30, snapshot: nil, saved: 1...29, lost: [], because: "the very last"),
    Row(damaged: 5, snapshot: 20, saved: 21...30, lost: [], because: "long covered"),
    Row(damaged: 13, snapshot: 15, saved: 16...30, lost: [], because: "covered, same segment"),
    Row(damaged: 16, snapshot: 15, saved: nil, lost: [17...30], because: "next to the snapshot"),
    Row(damaged: 25, snapshot: 15, saved: 16...24, lost: [26...30], because: "behind it"),
  ]

  @Test("salvage ends at the first frame that is valid in neither copy", arguments: rows)
  func salvage(_ row: Row) throws {
    let place = try threeSegments(snapshotAt: row.snapshot)
    let output = JournalPlace()
    try spoil(row.damaged, JournalCopy.allCases, place)
    let report = try JournalInspection.salvage(place.directories, to: output.directories)
    #expect(report.saved == row.saved && report.lost == row.lost, "\(row.because)")
    #expect(report.snapshotSequence == row.snapshot.map(UInt64.init))
    let opened = try output.reopen()
    let expected = row.saved.map {
      Array(Self.payloads[Int($0.lowerBound) - 1..<Int($0.upperBound)])
    }
    #expect(opened.payloads == expected ?? [], "\(row.because)")
    #expect(opened.snapshot?.sequence == report.snapshotSequence)
    try opened.journal.append([[1]], epoch: 2)
    #expect(try output.reopen().payloads.last == [1])
  }

  @Test("a lost header is known from the segment before")
  func salvageHeader() throws {
    let place = try threeSegments()
    for copy in JournalCopy.allCases {
      var bytes = try place.bytes(place.segment(copy, 11))
      bytes[30] ^= 1
      try place.write(bytes, place.segment(copy, 11))
    }
    #expect(throws: JournalFailure.self) { _ = try Journal.open(place.directories) }
    let output = JournalPlace()
    let report = try JournalInspection.salvage(place.directories, to: output.directories)
    #expect(report.saved == 1...30 && report.defect?.kind == .headerLost)
    #expect(try output.reopen().payloads == Self.payloads)
  }
}
