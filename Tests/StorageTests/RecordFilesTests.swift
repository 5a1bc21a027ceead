import CoordinatorCore
import Hashing
import Storage
import SystemIO
import Testing
import Unlearning

@Suite("Record files") struct RecordFilesTests {
  private let folder = "/tmp/lethe-records-\(SystemRandom.bytes(count: 8).hex)"

  static let run = RunDescription(
    name: "files", shardCount: 1, sliceCount: 3, sequenceCount: 1, layerCount: 3,
    stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
    recipe: TrainingRecipe(labels: ["a", "b"]), backbone: SHA256.hash([9]), repairPolicy: .manual)

  /// Slice 1 is empty; texts hold what a line could be mistaken about.
  static let records = [
    0: ["b", "a", "é"], 2: ["\n  x", "\"quoted\"", " leading", "last"],
  ].mapValues { texts in
    texts.enumerated().map { number, text in
      Record(
        id: try! RecordID("record-\(number)"), subject: number == 1 ? try! RecordID("s") : nil,
        text: text, label: "a")
    }
  }

  static func location(_ slice: Int) -> SliceLocation { SliceLocation(shard: 0, slice: slice) }

  static func describe(_ record: Record) -> IngestedRecord {
    IngestedRecord(
      tag: RecordTag(SHA256.hash(record.id.bytes + record.text.utf8)), digest: record.digest,
      payload: LookupTag(record.payloadDigest))
  }

  private func made() throws -> (SliceStore, RunState, RecordTable) {
    let store = try SliceStore(folder)
    var state = try RunState(Self.run)
    var writer = try RecordWriter(store, state.plan, binding: SHA256.hash([8]))
    for location in state.locations {
      let records = Self.records[location.slice] ?? []
      let summary = try writer.write(records.reversed(), describe: Self.describe)
      #expect(summary.location == location)
      #expect(summary.contents == SliceState(records.map(\.digest)))
      state.apply(.ingested([summary]))
    }
    try writer.finish()
    let file = try store.table()
    return (store, state, try RecordTable(file.bytes, owner: file))
  }

  private func bytes(_ name: String) throws -> [UInt8] { try FileSystem.read("\(folder)/\(name)") }

  private func overwrite(_ name: String, _ change: (inout [UInt8]) -> Void) throws {
    var bytes = try bytes(name)
    change(&bytes)
    let file = try OwnedDescriptor.openForUpdating("\(folder)/\(name)")
    try file.write(bytes, at: 0, path: name)
  }

  @Test("gives back every record, whole or alone, and the files follow from the records")
  func reads() throws {
    defer { try? FileSystem.removeTree(folder) }
    let (store, state, table) = try made()
    let index = try RecordIndex(table, state)
    try store.check(index)
    for (slice, records) in Self.records {
      let location = Self.location(slice)
      #expect(try store.read(location) == records.sorted { $0.id < $1.id })
      for record in records {
        let live = try #require(index[Self.describe(record).tag])
        #expect(live.location == location && live.contents == Self.describe(record))
        let place = try #require(table.place(ofRow: live.row))
        #expect(try store.read(location, at: [place]) == [record])
      }
    }
    #expect(try store.read(Self.location(1)).isEmpty)
    #expect(
      try FileSystem.list(folder) == ["0-0.jsonl", "0-1.jsonl", "0-2.jsonl", "records.table"])
    let table1 = try bytes("records.table")
    _ = try made()
    #expect(try bytes("records.table") == table1)
  }

  @Test("overwrites a record and its row where they stand, and nothing else; again does no harm")
  func erases() throws {
    defer { try? FileSystem.removeTree(folder) }
    var (store, state, table) = try made()
    var left = Self.records
    for (number, slice) in [0, 2, 2, 0, 0, 2].enumerated() {
      let record = left[slice]!.removeFirst()
      let before = try bytes(SliceStore.name(of: Self.location(slice)))
      let row = try #require(try RecordIndex(table, state)[Self.describe(record).tag]).row
      state.apply(
        .deleted(
          AcceptedDeletion(
            number: UInt64(number) + 1, tags: [Self.describe(record).tag],
            commitments: [SHA256.hash([0])],
            slices: [
              SliceSummary(
                location: Self.location(slice), contents: SliceState(left[slice]!.map(\.digest)))
            ], masked: [], at: 1, due: 2, requestKey: nil, requestFingerprint: SHA256.hash([]))))
      #expect(try RecordIndex(table, state).condemned == [row])
      for _ in 0..<2 {
        try store.erase([row], of: table)
        // The mapped table shows what was written to the file.
        let index = try RecordIndex(table, state)
        #expect(index.condemned.isEmpty && index.count == state.recordCount)
        try store.check(index)
        #expect(try store.read(Self.location(slice)) == left[slice]!.sorted { $0.id < $1.id })
        let after = try bytes(SliceStore.name(of: Self.location(slice)))
        #expect(after.count == before.count)
        #expect(!String(decoding: after, as: UTF8.self).contains("\"\(record.id.text)\""))
        #expect(zip(before, after).allSatisfy { $0 == $1 || $1 == UInt8(ascii: " ") })
      }
    }
    let digests = Self.records.values.flatMap { $0 }.map(\.digest)
    let kept = left.values.flatMap { $0 }.map(\.digest)
    let tableBytes = try bytes("records.table")
    for digest in digests {
      #expect(tableBytes.contains(digest.bytes) == kept.contains(digest))
    }
  }

  @Test("any byte of a live record that is damaged is noticed, and a file that is gone")
  func damage() throws {
    defer { try? FileSystem.removeTree(folder) }
    let (store, state, table) = try made()
    let index = try RecordIndex(table, state)
    let name = SliceStore.name(of: Self.location(2))
    let whole = try bytes(name)
    for place in whole.indices where whole[place] != UInt8(ascii: "\n") {
      try overwrite(name) { $0[place] ^= 1 }
      #expect(throws: SliceError.self, "byte \(place)") { try store.check(index) }
      try overwrite(name) { $0[place] ^= 1 }
    }
    try store.check(index)
    try FileSystem.replace("\(folder)/\(name)", with: Array(whole.dropLast(2)))
    #expect(throws: SliceError.self) { try store.check(index) }
    try FileSystem.remove("\(folder)/\(SliceStore.name(of: Self.location(1)))")
    #expect(throws: SliceError.self) { try store.read(Self.location(1)) }
  }
}
