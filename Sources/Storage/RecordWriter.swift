import CoordinatorCore
import Datasets
import Hashing
import SystemIO
import Unlearning

/// Makes the files of all of a run's records: slice after slice, and the table with them.
///
/// The table gets its name last; until then there is no run that could be continued.
package struct RecordWriter {
  private let store: SliceStore
  private let plan: RunPlan
  private let binding: Digest
  private let table: OwnedDescriptor
  private var rowCounts: [Int] = []
  private var byteOffset: Int

  /// - Parameter binding: Ties the table to its run.
  package init(_ store: SliceStore, _ plan: RunPlan, binding: Digest) throws(SystemCallError) {
    self.store = store
    self.plan = plan
    self.binding = binding
    table = try OwnedDescriptor.create(store.tablePath + FileSystem.temporarySuffix)
    byteOffset = RecordTable.headerByteCount(
      shardCount: plan.shardCount, sliceCount: plan.sliceCount)
  }

  /// Writes the next slice, in the order of shards and slices; says what it holds.
  package mutating func write(_ records: [Record], describe: (Record) -> IngestedRecord)
    throws(SystemCallError) -> SliceSummary
  {
    let (shard, slice) = rowCounts.count.quotientAndRemainder(dividingBy: plan.sliceCount)
    let location = SliceLocation(shard: shard, slice: slice)
    var lines: [UInt8] = []
    var rows: [(digest: Digest, bytes: [UInt8])] = []
    rows.reserveCapacity(records.count)
    for record in records.sorted(by: { $0.id < $1.id }) {
      let start = lines.count
      appendJSONLine(record, to: &lines)
      // A line's end is not part of its record: it stays when the record goes.
      let payload = start..<lines.count - 1
      let place = PayloadPlace(
        byteOffset: UInt64(start), byteCount: UInt32(payload.count),
        checksum: CRC32C.checksum(lines[payload]))
      let described = describe(record)
      rows.append((described.digest, RecordTable.encode(described, at: place)))
    }
    rows.sort { $0.digest < $1.digest }
    try FileSystem.replace(store.path(of: location), with: lines)
    let bytes = rows.flatMap(\.bytes)
    try table.write(bytes, at: byteOffset, path: store.tablePath)
    byteOffset += bytes.count
    rowCounts.append(rows.count)
    return SliceSummary(location: location, contents: SliceState(rows.map(\.digest)))
  }

  /// Ends the table, after the last slice.
  package consuming func finish() throws(SystemCallError) {
    let partial = store.tablePath + FileSystem.temporarySuffix
    try table.write(
      RecordTable.header(
        shardCount: plan.shardCount, sliceCount: plan.sliceCount, binding: binding,
        rowCounts: rowCounts), at: 0, path: partial)
    try table.synchronize(path: partial)
    try FileSystem.move(partial, to: store.tablePath)
    try FileSystem.synchronizeDirectory(FileSystem.directory(of: store.tablePath))
  }
}
