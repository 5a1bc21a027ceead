import Foundation
import Hashing
import JournalFormat
import Storage
import SystemIO
import Testing

@Suite("Journal: recovery of files") struct RecoveryTests {
  static let payloads = samplePayloads(30)

  @Test("a flipped byte anywhere in one copy's file is mended", arguments: UInt64(0)..<300)
  func flips(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let place = JournalPlace()
    try place.append(Self.payloads)
    let copy: JournalCopy = random.next() % 2 == 0 ? .a : .b
    var bytes = try place.bytes(place.segment(copy))
    // Half of them among the frames, half anywhere in the file.
    let used = bytes.lastIndex { $0 != 0 }! + 1
    let index = Int(random.next() % UInt64(seed % 2 == 0 ? used : bytes.count))
    bytes[index] ^= 1 << UInt8(random.next() % 8)
    try place.write(bytes, place.segment(copy))
    let opened = try place.reopen()
    #expect(opened.payloads == Self.payloads && opened.repairs.count == 1)
    #expect(try place.bytes(place.segment(.a)) == place.bytes(place.segment(.b)))
  }

  @Test(
    "the same byte flipped in both files is refused, and nothing is changed",
    arguments: UInt64(0)..<100)
  func flipsInBoth(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let place = JournalPlace()
    try place.append(Self.payloads)
    let clean = try place.bytes(place.segment(.a))
    let index = Int(random.next() % UInt64(clean.lastIndex { $0 != 0 }! + 1))
    for copy in JournalCopy.allCases {
      var bytes = clean
      bytes[index] ^= 1 << UInt8(random.next() % 8)
      try place.write(bytes, place.segment(copy))
    }
    let before = try place.everything()
    let error = #expect(throws: JournalFailure.self) { _ = try Journal.open(place.directories) }
    guard case .damaged(let defect, let pathA, let pathB) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(pathA == place.segment(.a) && pathB == place.segment(.b))
    #expect(defect.byteOffset <= index)
    #expect(try place.everything() == before)
  }

  @Test("a torn batch is kept aside, cleared and never seen again")
  func torn() throws {
    let place = JournalPlace()
    try place.append(Self.payloads)
    let clean = try place.bytes(place.segment(.a))
    let end = clean.lastIndex { $0 != 0 }! + 1
    var torn = clean
    torn.replaceSubrange(end..<end + 3, with: [0xfe, 0x4c, 0x46])
    try place.write(torn, place.segment(.a))
    let opened = try place.reopen()
    #expect(opened.payloads == Self.payloads && opened.droppedByteCount == 3)
    #expect(try place.bytes(place.segment(.a)) == clean)
    #expect(
      try place.bytes(place.segment(.a) + JournalName.brokenSuffix) == [0xfe, 0x4c, 0x46])
  }

  @Test("a lost directory, file, or rest of a file is made anew", arguments: JournalCopy.allCases)
  func lost(copy: JournalCopy) throws {
    let place = JournalPlace()
    let journal = try place.append(Array(Self.payloads[..<20]))
    try journal.rotate()
    try journal.append(Array(Self.payloads[20...]), epoch: 2)
    let whole = try place.everything()
    let losses: [(String, () throws -> Void)] = [
      ("the directory", { try place.remove(place.path(copy, "")) }),
      ("the first segment", { try place.remove(place.segment(copy)) }),
      ("the last segment", { try place.remove(place.segment(copy, 21)) }),
      ("all bytes of a segment", { try place.write([], place.segment(copy, 21)) }),
      (
        "half of a segment",
        {
          let bytes = try place.bytes(place.segment(copy))
          try place.write(Array(bytes[..<500]), place.segment(copy))
        }
      ),
    ]
    for (what, lose) in losses {
      try place.restore(whole)
      try lose()
      let opened = try place.reopen()
      #expect(opened.payloads == Self.payloads && !opened.repairs.isEmpty, "\(what)")
      try opened.journal.append([[1]], epoch: 3)
      #expect(try place.reopen().payloads == Self.payloads + [[1]], "\(what)")
    }
  }

  @Test("a segment missing in both copies is an error")
  func lostInBoth() throws {
    let place = JournalPlace()
    let journal = try place.append(Array(Self.payloads[..<10]))
    for start in [10, 20] {
      try journal.rotate()
      try journal.append(Array(Self.payloads[start..<start + 10]), epoch: 1)
    }
    let whole = try place.everything()
    for first in [UInt64(1), 11] {
      try place.restore(whole)
      for copy in JournalCopy.allCases { try place.remove(place.segment(copy, first)) }
      #expect(throws: JournalFailure.self) { _ = try Journal.open(place.directories) }
    }
  }

  /// Copies files as a crash would leave them: each step's new state of one path.
  private func interrupted(
    _ before: [String: [UInt8]], _ steps: [(String, [UInt8]?)],
    _ check: (JournalPlace, Int) throws -> Void
  ) throws {
    for count in 0...steps.count {
      var files = before
      for (path, bytes) in steps[..<count] { files[path] = bytes }
      let place = JournalPlace()
      try place.restore(files)
      try check(place, count)
    }
  }

  @Test("rotation cut short at any step loses nothing and can go on")
  func rotation() throws {
    let place = JournalPlace()
    let journal = try place.append(Self.payloads)
    let before = try place.everything()
    try journal.rotate()
    let after = try place.everything()
    let name = JournalName.segment(31)
    let partial = name + JournalName.partialSuffix
    let bytes = try #require(after["A/" + name])
    let steps: [(String, [UInt8]?)] = [
      ("A/" + partial, []), ("A/" + partial, Array(bytes[..<40])), ("A/" + partial, bytes),
      ("B/" + partial, Array(bytes[..<600])), ("B/" + partial, bytes),
      ("A/" + partial, nil), ("A/" + name, bytes), ("B/" + partial, nil), ("B/" + name, bytes),
    ]
    try interrupted(before, steps) { place, count in
      let opened = try place.reopen()
      #expect(opened.payloads == Self.payloads, "after step \(count)")
      #expect(try !place.names(.a).contains { $0.hasSuffix(JournalName.partialSuffix) })
      try opened.journal.append([[5]], epoch: 1)
      try opened.journal.rotate()
      try opened.journal.append([[6]], epoch: 1)
      #expect(try place.reopen().payloads == Self.payloads + [[5], [6]], "after step \(count)")
    }
  }

  @Test("a journal's beginning cut short at any step can begin again")
  func beginning() throws {
    let place = JournalPlace()
    _ = try Journal.open(place.directories)
    let bytes = try place.bytes(place.segment(.a))
    let name = JournalName.segment(1)
    let partial = name + JournalName.partialSuffix
    let steps: [(String, [UInt8]?)] = [
      ("A/" + partial, Array(bytes[..<40])), ("A/" + partial, bytes), ("B/" + partial, bytes),
      ("A/" + partial, nil), ("A/" + name, bytes), ("B/" + partial, nil), ("B/" + name, bytes),
    ]
    try interrupted([:], steps) { place, count in
      let opened = try place.reopen()
      #expect(opened.payloads.isEmpty)
      try opened.journal.append([[1]], epoch: 1)
      #expect(try place.reopen().payloads == [[1]], "after step \(count)")
    }
  }

  /// A journal with segments 1, 11 and 21 and a snapshot through 10 and through 20.
  private func withSnapshots() throws -> JournalPlace {
    let place = JournalPlace()
    let journal = try place.append(Array(Self.payloads[..<10]))
    for start in [10, 20] {
      try Journal.writeSnapshot(
        [UInt8(start)], through: journal.sequence, chain: journal.chain, to: place.directories)
      try journal.rotate()
      try journal.append(Array(Self.payloads[start..<start + 10]), epoch: 1)
    }
    return place
  }

  @Test("retirement cut short at any step, in any order the disk chose")
  func retirement() throws {
    let place = try withSnapshots()
    let before = try place.everything()
    let names = [1, 11].map { JournalName.segment($0) } + [JournalName.snapshot(10)]
    let paths = names.map { "A/" + $0 } + names.map { "B/" + $0 }
    for removed in 0..<1 << paths.count {
      var files = before
      for (index, path) in paths.enumerated() where removed >> index & 1 == 1 { files[path] = nil }
      try place.restore(files)
      let opened = try Journal.open(place.directories)
      try #require(opened.snapshot?.sequence == 20)
      try #require(opened.payloads == Array(Self.payloads[20...]))
      try Journal.retire(before: 20, in: place.directories)
      let names = try place.names(.a)
      try #require(names == [JournalName.snapshot(20), JournalName.segment(21), "reserve"])
      try #require(try names == place.names(.b))
    }
  }

  @Test("the newest snapshot that verifies is used, an older one only where segments reach back")
  func fallback() throws {
    let place = try withSnapshots()
    let before = try place.everything()
    func spoil(_ copies: [JournalCopy]) throws {
      for copy in copies {
        let path = place.path(copy, JournalName.snapshot(20))
        var bytes = try place.bytes(path)
        bytes[62] ^= 1
        try place.write(bytes, path)
      }
    }
    for copy in JournalCopy.allCases {
      try place.restore(before)
      try spoil([copy])
      let opened = try place.reopen()
      #expect(opened.snapshot?.bytes == [20] && opened.repairs.count == 1)
      #expect(try place.everything() == before)
    }
    try place.restore(before)
    try spoil(JournalCopy.allCases)
    let opened = try Journal.open(place.directories)
    #expect(opened.snapshot?.bytes == [10] && opened.payloads == Array(Self.payloads[10...]))
    #expect(opened.repairs.count == 1)

    try place.restore(before)
    try Journal.retire(before: 20, in: place.directories)
    try spoil(JournalCopy.allCases)
    #expect(throws: JournalFailure.self) { _ = try Journal.open(place.directories) }
    #expect(throws: JournalFailure.self) {
      try Journal.retire(before: 20, in: place.directories)
    }
  }

  @Test("retirement does nothing until the snapshot verifies in both copies")
  func retireNeedsBoth() throws {
    let place = try withSnapshots()
    try place.remove(place.path(.b, JournalName.snapshot(20)))
    let before = try place.everything()
    #expect(throws: JournalFailure.self) {
      try Journal.retire(before: 20, in: place.directories)
    }
    #expect(try place.everything() == before)
  }

  @Test("a snapshot newer than the journal's frames means that frames are lost")
  func rolledBack() throws {
    let place = JournalPlace()
    let journal = try place.append(Array(Self.payloads[..<10]))
    let old = try place.everything()
    try journal.append(Array(Self.payloads[10...]), epoch: 1)
    try Journal.writeSnapshot(
      [1], through: 30, chain: journal.chain, to: place.directories)
    for copy in JournalCopy.allCases {
      try place.write(try #require(old["A/" + JournalName.segment(1)]), place.segment(copy))
    }
    #expect(throws: JournalFailure.self) { _ = try Journal.open(place.directories) }
  }

  @Test("after its first failure a journal refuses for ever")
  func failStop() throws {
    let place = JournalPlace()
    let journal = try place.append([[1]])
    try place.remove(place.path(.b, ""))
    #expect(throws: SystemCallError.self) { try journal.rotate() }
    let error = #expect(throws: SystemCallError.self) { try journal.append([[2]], epoch: 1) }
    #expect(error?.isNotFound == true)
    #expect(try place.reopen().payloads == [[1]])
  }
}
