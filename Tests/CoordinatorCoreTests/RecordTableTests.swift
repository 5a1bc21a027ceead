import CoordinatorCore
import Hashing
import Testing
import Unlearning

@Suite("Record tables") struct RecordTableTests {
  static let binding = SHA256.hash([8])

  static func state() throws -> RunState {
    var state = try RunState(Bench.run)
    state.apply(Bench.ingestion)
    return state
  }

  static func bytes(_ slices: [IngestedSlice] = Bench.slices) throws -> [UInt8] {
    TableMemory.encode(slices, of: try state().plan, binding: binding)
  }

  /// The problem that bytes are refused with; `nil` where they are the run's.
  static func problem(_ bytes: [UInt8], _ state: RunState) -> RecordTableProblem? {
    do throws(RecordTableProblem) {
      _ = try RecordIndex(try TableMemory(bytes).table(), state)
      return nil
    } catch {
      return error
    }
  }

  @Test("gives back what was written, slice by slice, ascending by digest")
  func reads() throws {
    let table = try TableMemory(try Self.bytes()).table()
    #expect(table.rowCount == 12 && table.binding == Self.binding)
    for slice in Bench.slices {
      let rows = table.rows(of: slice.location)
      #expect(
        rows.map { table.record(ofRow: $0) } == slice.records.sorted { $0.digest < $1.digest })
      #expect(rows.allSatisfy { table.location(ofRow: $0) == slice.location })
    }
  }

  @Test("any byte that is damaged, at the beginning or in a live row, is noticed")
  func damage() throws {
    let state = try Self.state()
    let bytes = try Self.bytes()
    #expect(Self.problem(bytes, state) == nil)
    for index in bytes.indices where !(20..<52).contains(index) {
      var damaged = bytes
      damaged[index] ^= 0x10
      try #require(Self.problem(damaged, state) != nil, "byte \(index)")
    }
    for count in [0, 7, 8, 51, 55, 56, 71, 72, bytes.count - 100, bytes.count - 1] {
      #expect(Self.problem(Array(bytes.prefix(count)), state) != nil, "\(count) bytes")
    }
    #expect(
      Self.problem(bytes + [0], state)
        == .wrongLength(expected: bytes.count, found: bytes.count + 1))
  }

  @Test("a table of other records, of another shape or format is none of the run's")
  func foreign() throws {
    let state = try Self.state()
    var fewer = Bench.slices
    let lost = fewer[1].records.removeLast()
    #expect(
      Self.problem(try Self.bytes(fewer), state)
        == .wrongRecords(fewer[1].location, expected: 3, found: 2, row: nil))
    var other = fewer
    other[1].records.append(
      IngestedRecord(tag: lost.tag, digest: SHA256.hash([1]), payload: lost.payload))
    #expect(
      Self.problem(try Self.bytes(other), state)
        == .wrongRecords(other[1].location, expected: 3, found: 3, row: nil))
    var later = try Self.bytes()
    later[8] = 2
    #expect(Self.problem(later, state) == .unsupportedFormat(version: 2))
    var run = Bench.run
    run.shardCount = 3
    #expect(Self.problem(try Self.bytes(), try RunState(run)) == .otherRun)
  }

  @Test("a row that a purge has begun to overwrite is finished, and no live one is given up for it")
  func torn() throws {
    let first = Bench.slices[0]
    var state = try Self.state()
    let memory = TableMemory(try Self.bytes())
    let table = try memory.table()
    let row = table.rows(of: first.location).lowerBound
    let tag = table.record(ofRow: row).tag
    func delete() {
      state.apply(
        .deleted(
          AcceptedDeletion(
            number: 1, tags: [tag], commitments: [SHA256.hash([0])],
            slices: [
              IngestedSlice(
                location: first.location, records: first.records.filter { $0.tag != tag }
              ).summary
            ], masked: [], at: 1, due: 2, requestKey: nil, requestFingerprint: SHA256.hash([]))))
    }
    for byteCount in [1, 40, 99] {
      memory.erase([row], of: table, byteCount: byteCount)
      #expect(table.place(ofRow: row) == nil, "nobody may go by what a torn row says")
    }
    #expect(
      Self.problem(Array(memory.bytes), state)
        == .wrongRecords(first.location, expected: 3, found: 2, row: row))
    delete()
    #expect(try RecordIndex(table, state).condemned == [row])
    memory.erase([row], of: table)
    let index = try RecordIndex(table, state)
    #expect(index.condemned.isEmpty && index[tag] == nil && index.count == 11)
  }

  @Test("rows of deleted records are condemned until they are overwritten")
  func condemned() throws {
    var bench = try Bench(.manual)
    bench.handle(
      .deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0), Bench.tag(1, 0, 2)])))
    let order = try #require(bench.coordinator.purge?.order)
    #expect(order.rows.count == 2 && order.rows == bench.coordinator.records.condemned)
    #expect(try bench.restartedRecords().condemned.sorted() == order.rows.sorted())
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(0, 0, 0)])))
    bench.erase(order)
    bench.handle(.purgeFinished(throughDeletion: order.throughDeletion))
    // The deletion that came meanwhile waits for the next purge, and is in it.
    let next = try #require(bench.coordinator.purge?.order)
    #expect(next.rows.count == 1 && Set(next.rows).isDisjoint(with: order.rows))
    bench.erase(next)
    bench.handle(.purgeFinished(throughDeletion: next.throughDeletion))
    #expect(bench.coordinator.purge == nil && bench.coordinator.records.condemned.isEmpty)
    #expect(try bench.restartedRecords().condemned.isEmpty)
  }
}
