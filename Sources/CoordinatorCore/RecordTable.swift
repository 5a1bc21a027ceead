import ByteCoding
import Hashing
import Unlearning

/// What the run knows of its records, a row of fixed width each, in memory that it does not own.
///
/// The rows of a slice stand together, ascending by the record's digest; a row's number never
/// changes. Whoever purges a record overwrites its row with zeros, in the same memory: so only rows
/// of records that are part of the run may be looked at, and nobody overwrites those. The bytes are
/// drawn in `Protocols/records.md`.
package struct RecordTable: Sendable {
  /// The run's shape.
  package let shardCount: Int
  package let sliceCount: Int
  /// Ties the table to its run: a hash under the run's own key.
  package let binding: Digest
  /// The first row of every slice, and where the last slice ends.
  private let firstRows: [Int]
  // Rows are written to by purges alone, and none of those is ever read.
  nonisolated(unsafe) private let rows: UnsafeRawBufferPointer
  private let owner: any AnyObject & Sendable

  package var rowCount: Int { firstRows[firstRows.count - 1] }

  /// Every slice, in the order of the rows.
  package var locations: [SliceLocation] {
    (0..<shardCount).flatMap { shard in
      (0..<sliceCount).map { SliceLocation(shard: shard, slice: $0) }
    }
  }

  /// The rows of a slice, whether its records are still there or not.
  package func rows(of location: SliceLocation) -> Range<Int> {
    let ordinal = ordinal(of: location)
    return firstRows[ordinal]..<firstRows[ordinal + 1]
  }

  /// The place of a slice among all.
  func ordinal(of location: SliceLocation) -> Int { location.shard * sliceCount + location.slice }

  /// The slice that a row belongs to.
  package func location(ofRow row: Int) -> SliceLocation {
    // The last slice that begins at or before the row; empty ones before it begin there too.
    var (low, high) = (0, firstRows.count - 1)
    while low + 1 < high {
      let middle = (low + high) / 2
      if firstRows[middle] <= row { low = middle } else { high = middle }
    }
    return SliceLocation(shard: low / sliceCount, slice: low % sliceCount)
  }

  // MARK: - Rows

  private func bytes(ofRow row: Int) -> UnsafeRawBufferPointer {
    let start = row * Self.rowByteCount
    return UnsafeRawBufferPointer(rebasing: rows[start..<start + Self.rowByteCount])
  }

  package func digest(ofRow row: Int) -> Digest {
    Digest(UnsafeRawBufferPointer(rebasing: bytes(ofRow: row)[Field.digest]))!
  }

  func tag(ofRow row: Int) -> RecordTag {
    RecordTag(Digest(UnsafeRawBufferPointer(rebasing: bytes(ofRow: row)[Field.tag]))!)
  }

  func payload(ofRow row: Int) -> LookupTag {
    LookupTag(number(row, at: Field.payload))
  }

  func subject(ofRow row: Int) -> LookupTag? {
    let value: UInt64 = number(row, at: Field.subject)
    return value == 0 ? nil : LookupTag(value)
  }

  /// Where the record's own bytes stand; `nil` once the row is overwritten, be it in part.
  package func place(ofRow row: Int) -> PayloadPlace? {
    guard state(ofRow: row) == .whole else { return nil }
    return PayloadPlace(
      byteOffset: number(row, at: Field.byteOffset), byteCount: number(row, at: Field.byteCount),
      checksum: number(row, at: Field.checksum))
  }

  package func record(ofRow row: Int) -> IngestedRecord {
    IngestedRecord(
      tag: tag(ofRow: row), digest: digest(ofRow: row), payload: payload(ofRow: row),
      subject: subject(ofRow: row))
  }

  private func number<Value: FixedWidthInteger>(_ row: Int, at offset: Int) -> Value {
    Value(
      littleEndian: bytes(ofRow: row).loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  enum RowState { case whole, erased, damaged }

  /// What is left of a row: an overwritten one is zeros, and one whose overwriting was cut short is
  /// damaged.
  func state(ofRow row: Int) -> RowState {
    let bytes = bytes(ofRow: row)
    let covered = UnsafeRawBufferPointer(rebasing: bytes[..<Field.check])
    if number(row, at: Field.check) == CRC32C.checksum(covered) { return .whole }
    return bytes.allSatisfy { $0 == 0 } ? .erased : .damaged
  }

  // MARK: - Bytes

  package static let rowByteCount = 100

  private enum Field {
    static let tag = 0..<32
    static let digest = 32..<64
    static let payload = 64
    static let subject = 72
    static let byteOffset = 80
    static let byteCount = 88
    static let checksum = 92
    static let check = 96
  }

  private static let magic = Array("lethe-rt".utf8)
  private static let formatVersion: UInt32 = 1

  /// What stands before the rows.
  package static func header(
    shardCount: Int, sliceCount: Int, binding: Digest, rowCounts: [Int]
  ) -> [UInt8] {
    precondition(rowCounts.count == shardCount * sliceCount)
    var writer = CanonicalWriter()
    writer.writeRaw(magic)
    writer.write(formatVersion)
    writer.write(UInt32(shardCount))
    writer.write(UInt32(sliceCount))
    writer.write(binding)
    for count in rowCounts { writer.write(UInt32(count)) }
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// How long that is.
  package static func headerByteCount(shardCount: Int, sliceCount: Int) -> Int {
    56 + 4 * shardCount * sliceCount
  }

  package static func encode(_ record: IngestedRecord, at place: PayloadPlace) -> [UInt8] {
    var writer = CanonicalWriter(capacity: rowByteCount)
    writer.write(record.tag.digest)
    writer.write(record.digest)
    writer.write(record.payload.value)
    // No keyed lookup is zero.
    writer.write(record.subject?.value ?? 0)
    writer.write(place.byteOffset)
    writer.write(place.byteCount)
    writer.write(place.checksum)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Where a row's bytes begin in the table's.
  package func byteOffset(ofRow row: Int) -> Int {
    Self.headerByteCount(shardCount: shardCount, sliceCount: sliceCount) + row * Self.rowByteCount
  }

  /// Reads the table's header; rows are judged by the index made from them.
  ///
  /// - Parameter owner: Keeps `bytes` where they are.
  package init(_ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable)
    throws(RecordTableProblem)
  {
    let fixed = Self.headerByteCount(shardCount: 0, sliceCount: 0) - 4
    guard bytes.count >= fixed, bytes.starts(with: Self.magic) else { throw .notATable }
    func number(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    guard number(8) == Self.formatVersion else { throw .unsupportedFormat(version: number(8)) }
    let (shards, slices) = (Int(number(12)), Int(number(16)))
    // A header's length follows from its shape: bounded before anything is multiplied.
    guard shards <= RunPlan.shardLimit, slices <= RunPlan.sliceLimit else { throw .damagedHeader }
    let headerEnd = Self.headerByteCount(shardCount: shards, sliceCount: slices)
    guard bytes.count >= headerEnd,
      number(headerEnd - 4)
        == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<(headerEnd - 4)]))
    else { throw .damagedHeader }
    var firstRows = [0]
    for index in 0..<shards * slices {
      firstRows.append(firstRows[index] + Int(number(fixed + 4 * index)))
    }
    let expected = headerEnd + firstRows[firstRows.count - 1] * Self.rowByteCount
    guard bytes.count == expected, firstRows[firstRows.count - 1] < Int(UInt32.max) else {
      throw .wrongLength(expected: expected, found: bytes.count)
    }
    (shardCount, sliceCount, self.firstRows, self.owner) = (shards, slices, firstRows, owner)
    binding = Digest(UnsafeRawBufferPointer(rebasing: bytes[20..<52]))!
    rows = UnsafeRawBufferPointer(rebasing: bytes[headerEnd...])
  }
}

/// Where a record's own bytes stand in the file of its slice.
package struct PayloadPlace: Equatable, Sendable {
  package let byteOffset: UInt64
  package let byteCount: UInt32
  /// CRC-32C of the bytes.
  package let checksum: UInt32

  package init(byteOffset: UInt64, byteCount: UInt32, checksum: UInt32) {
    self.byteOffset = byteOffset
    self.byteCount = byteCount
    self.checksum = checksum
  }
}

/// Why a table cannot be the run's.
package enum RecordTableProblem: Error, Equatable, Sendable {
  case notATable
  case unsupportedFormat(version: UInt32)
  case damagedHeader
  case wrongLength(expected: Int, found: Int)
  /// It belongs to another run, or to another key than this run's.
  case otherRun
  /// A slice has other records than the journal says; `row` is the first damaged one in it.
  case wrongRecords(SliceLocation, expected: Int, found: Int, row: Int?)
}

/// A table in memory of its own: where there are no files.
package final class TableMemory: @unchecked Sendable {
  // Written to by `erase` alone, which only reaches rows that nobody reads any more.
  private let memory: UnsafeMutableRawBufferPointer

  package init(_ bytes: [UInt8]) {
    memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    memory.copyBytes(from: bytes)
  }

  deinit { memory.deallocate() }

  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  package func table() throws(RecordTableProblem) -> RecordTable {
    try RecordTable(bytes, owner: self)
  }

  /// Overwrites rows of records that have been deleted, or their beginnings.
  package func erase(
    _ rows: [Int], of table: RecordTable, byteCount: Int = RecordTable.rowByteCount
  ) {
    for row in rows {
      let start = table.byteOffset(ofRow: row)
      for offset in start..<start + byteCount { memory[offset] = 0 }
    }
  }

  /// A table of these records, whose own bytes stand nowhere.
  package convenience init(_ slices: [IngestedSlice], of plan: RunPlan, binding: Digest) {
    self.init(Self.encode(slices, of: plan, binding: binding))
  }

  /// Its bytes.
  package static func encode(
    _ slices: [IngestedSlice], of plan: RunPlan, binding: Digest
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    var rowCounts: [Int] = []
    for shard in 0..<plan.shardCount {
      for slice in 0..<plan.sliceCount {
        let location = SliceLocation(shard: shard, slice: slice)
        let records = slices.filter { $0.location == location }.flatMap(\.records)
        rowCounts.append(records.count)
        for record in records.sorted(by: { $0.digest < $1.digest }) {
          bytes += RecordTable.encode(
            record, at: PayloadPlace(byteOffset: 0, byteCount: 0, checksum: 0))
        }
      }
    }
    return RecordTable.header(
      shardCount: plan.shardCount, sliceCount: plan.sliceCount, binding: binding,
      rowCounts: rowCounts) + bytes
  }
}
