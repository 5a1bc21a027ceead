import Foundation
import Hashing
import JournalFormat
import Storage
import SystemIO
import TestKit
import Testing

@Suite("Journal: everyday") struct JournalTests {
  @Test("begins, appends in batches, rotates and reads back the same")
  func roundTrip() throws {
    let place = JournalPlace()
    let payloads = samplePayloads(60)
    let journal = try Journal.open(place.directories).journal
    for start in stride(from: 0, to: 60, by: 5) {
      try journal.append(Array(payloads[start..<start + 5]), epoch: 7)
      if start % 20 == 15 { try journal.rotate() }
    }
    #expect(journal.sequence == 60 && journal.syncCount == 24)
    let opened = try place.reopen()
    #expect(opened.payloads == payloads && opened.repairs.isEmpty && opened.firstSequence == 1)
    #expect(opened.epochs == Array(repeating: 7, count: 60))
    #expect(opened.journal.chain == journal.chain && opened.journal.sequence == 60)
    let view = try Journal.read(place.directories)
    #expect(view.payloads == payloads && view.chain == journal.chain)
    #expect(try place.names(.a) == place.names(.b) && place.names(.a).count == 5)
  }

  @Test("a journal is not begun where one was expected")
  func missing() {
    #expect(throws: JournalFailure.self) {
      _ = try Journal.open(JournalPlace().directories, mayCreate: false)
    }
    #expect(throws: JournalFailure.self) { _ = try Journal.read(JournalPlace().directories) }
  }

  @Test("both copies grow in the same steps and stay the same bytes")
  func growth() throws {
    let place = JournalPlace()
    let journal = try Journal.open(place.directories).journal
    for size in [1 << 20, 10, 3 << 20, 1] {
      try journal.append([Array(repeating: 9, count: size)], epoch: 1)
    }
    let a = try place.bytes(place.segment(.a))
    #expect(try a == place.bytes(place.segment(.b)) && a.count.isMultiple(of: 1 << 20))
    #expect(try place.reopen().payloads.map(\.count) == [1 << 20, 10, 3 << 20, 1])
  }

  @Test("a snapshot stands for what it covers, and retirement removes no more than that")
  func snapshots() throws {
    let place = JournalPlace()
    let payloads = samplePayloads(12)
    let journal = try place.append(Array(payloads[..<4]))
    try journal.rotate()
    try journal.append(Array(payloads[4..<8]), epoch: 1)
    try Journal.writeSnapshot(
      [1, 2, 3], through: 8, chain: journal.chain, to: place.directories)
    try journal.append(Array(payloads[8..<10]), epoch: 1)
    try journal.rotate()
    try journal.append(Array(payloads[10...]), epoch: 1)
    try Journal.retire(before: 8, in: place.directories)
    for copy in JournalCopy.allCases {
      #expect(
        try place.names(copy) == [
          JournalName.segment(5), JournalName.snapshot(8), JournalName.segment(11), "reserve",
        ])
    }
    let opened = try place.reopen()
    #expect(opened.snapshot?.sequence == 8 && opened.snapshot?.bytes == [1, 2, 3])
    #expect(opened.payloads == Array(payloads[8...]) && opened.firstSequence == 9)
    #expect(throws: JournalFailure.self, "no snapshot of that sequence") {
      try Journal.retire(before: 9, in: place.directories)
    }
  }

  @Test("a reader beside the writer always sees a prefix that only grows")
  func liveReader() throws {
    let place = JournalPlace()
    let payloads = samplePayloads(400)
    let directories = place.directories
    let journal = try Journal.open(directories).journal
    try journal.append([payloads[0]], epoch: 1)
    let seen = Guarded<[Int]>([])
    let isDone = Guarded(false)
    let stopped = Promise<Bool>()
    BackgroundThread.start("reader") {
      while !isDone.withLock({ $0 }) {
        let count =
          (try? Journal.read(directories)).map { view in
            view.payloads == Array(payloads[..<view.payloads.count]) ? view.payloads.count : -1
          } ?? -2
        seen.withLock { $0.append(count) }
      }
      stopped.fulfil(true)
    }
    for start in stride(from: 1, to: 400, by: 3) {
      try journal.append(Array(payloads[start..<min(start + 3, 400)]), epoch: 1)
      if start % 90 == 1 { try journal.rotate() }
    }
    isDone.withLock { $0 = true }
    _ = stopped.wait()
    let counts = seen.withLock { $0 }
    #expect(counts == counts.sorted() && counts.allSatisfy { $0 > 0 })
  }

  @Test(
    "opens 100,000 frames whole, and says how long that took",
    .disabled(if: Pace.sanitizer != nil, "SKIPPED: too much for a sanitizer"))
  func many() throws {
    let place = JournalPlace()
    let payloads = samplePayloads(100_000, byteCount: 150)
    let journal = try Journal.open(place.directories).journal
    for start in stride(from: 0, to: payloads.count, by: 1000) {
      try journal.append(Array(payloads[start..<start + 1000]), epoch: 1)
    }
    let began = SystemClock.seconds
    let opened = try Journal.open(place.directories)
    let seconds = SystemClock.seconds - began
    print("opened 100,000 frames in \(seconds) s")
    #expect(opened.payloads == payloads)

    var waits: [Double] = []
    for payload in payloads[..<500] {
      let began = SystemClock.seconds
      try opened.journal.append([payload], epoch: 1)
      waits.append(SystemClock.seconds - began)
    }
    waits.sort()
    print("one payload durable twice after \(waits[250]) s (median), \(waits[495]) s (99 %)")
  }
}
