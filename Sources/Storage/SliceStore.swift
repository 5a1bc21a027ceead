import CoordinatorCore
import Datasets
import Hashing
import SystemIO
import Unlearning

/// Why a slice's records cannot be read.
package enum SliceError: Error, Sendable {
  case system(SystemCallError)
  /// The file is not the JSONL that was written, or is gone.
  case damaged(SliceLocation, path: String)
}

/// The records themselves, and the table of what the run knows of each; see `Protocols/records.md`.
///
/// One JSONL file a slice is the only place where the run keeps records' own bytes. Files are
/// written once, by `RecordWriter`; afterwards only purges write to them: a record's line is
/// overwritten with spaces, and its row in the table with zeros.
package struct SliceStore: Sendable {
  private let directory: String

  /// Where the files are.
  package var path: String { directory }

  package init(_ directory: String) throws(SystemCallError) {
    self.directory = directory
    try FileSystem.createDirectory(directory)
  }

  /// The file of a slice.
  package static func name(of location: SliceLocation) -> String {
    "\(location.shard)-\(location.slice).jsonl"
  }

  package static let tableName = "records.table"

  package var tablePath: String { "\(directory)/\(Self.tableName)" }

  func path(of location: SliceLocation) -> String { "\(directory)/\(Self.name(of: location))" }

  /// A slice file's bytes: JSON lines in the order of the ids.
  package static func encode(_ records: [Record]) -> [UInt8] {
    records.sorted { $0.id < $1.id }.flatMap { jsonLine($0) }
  }

  // MARK: - Reading

  /// The records a slice's file holds; between a deletion and its purge also the deleted ones.
  package func read(_ location: SliceLocation) throws(SliceError) -> [Record] {
    let path = path(of: location)
    let bytes: [UInt8]
    do throws(SystemCallError) {
      bytes = try FileSystem.read(path)
    } catch {
      throw error.isNotFound ? .damaged(location, path: path) : .system(error)
    }
    return try Self.records(in: bytes, location, path)
  }

  /// Some records of a slice's file; those that are overwritten are left out.
  package func read(_ location: SliceLocation, at places: [PayloadPlace]) throws(SliceError)
    -> [Record]
  {
    let path = path(of: location)
    var lines: [UInt8] = []
    do throws(SystemCallError) {
      let file = try OwnedDescriptor.openForUpdating(path)
      for place in places {
        guard let range = place.range(inFileOf: try file.byteCount(path: path)) else { continue }
        lines += try file.read(range, path: path) + [Self.newline]
      }
    } catch {
      throw error.isNotFound ? .damaged(location, path: path) : .system(error)
    }
    return try Self.records(in: lines, location, path)
  }

  private static let newline = UInt8(ascii: "\n")
  static let filler = UInt8(ascii: " ")

  private static func records(
    in bytes: [UInt8], _ location: SliceLocation, _ path: String
  ) throws(SliceError) -> [Record] {
    // What a purge has overwritten is a line of spaces; no other line begins with one.
    var lines: [UInt8] = []
    lines.reserveCapacity(bytes.count)
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: newline).map { $0 + 1 } ?? bytes.count
      if bytes[start] != filler { lines += bytes[start..<end] }
      start = end
    }
    // A slice may be empty; a data set may not.
    if lines.isEmpty { return [] }
    do {
      return try DatasetReader(labels: .any).read(lines, .jsonLines).training
    } catch {
      throw .damaged(location, path: path)
    }
  }

  // MARK: - The table

  /// The table as it lies on disk, for as long as anybody has it.
  package func table() throws(SliceError) -> MappedFile {
    do throws(SystemCallError) {
      return try MappedFile(tablePath)
    } catch {
      throw .system(error)
    }
  }

  /// Holds the bytes of every record that is part of the run against the table's checksums.
  package func check(_ index: RecordIndex) throws(SliceError) {
    for location in index.table.locations {
      let path = path(of: location)
      guard FileSystem.exists(path) else { throw .damaged(location, path: path) }
      let presence = index.presence(of: location)
      let rows = index.table.rows(of: location).filter(presence.contains)
      if rows.isEmpty { continue }
      guard let file = try? MappedFile(path) else { throw .damaged(location, path: path) }
      for row in rows {
        guard let place = index.table.place(ofRow: row),
          let range = place.range(inFileOf: file.bytes.count),
          CRC32C.checksum(UnsafeRawBufferPointer(rebasing: file.bytes[range])) == place.checksum
        else { throw .damaged(location, path: path) }
      }
    }
  }

  // MARK: - Erasing

  /// Overwrites records, durably: their own bytes, then their rows.
  ///
  /// In this order, as a row tells where the bytes are. May be repeated: what is overwritten
  /// already is left as it is, and a row that a crash has cut in two is finished.
  ///
  /// - Parameter rows: Rows of records that are no longer part of the run.
  package func erase(_ rows: [Int], of table: RecordTable) throws(SystemCallError) {
    guard !rows.isEmpty else { return }
    var places: [SliceLocation: [PayloadPlace]] = [:]
    for row in rows {
      guard let place = table.place(ofRow: row) else { continue }
      places[table.location(ofRow: row), default: []].append(place)
    }
    for (location, places) in places.sorted(by: { $0.key < $1.key }) {
      let path = path(of: location)
      let file = try OwnedDescriptor.openForUpdating(path)
      let byteCount = try file.byteCount(path: path)
      for place in places {
        guard let range = place.range(inFileOf: byteCount) else { continue }
        try file.write(
          repeatElement(Self.filler, count: range.count), at: range.lowerBound, path: path)
      }
      try file.synchronize(path: path)
    }
    let file = try OwnedDescriptor.openForUpdating(tablePath)
    for row in rows {
      try file.write(
        repeatElement(0, count: RecordTable.rowByteCount), at: table.byteOffset(ofRow: row),
        path: tablePath)
    }
    try file.synchronize(path: tablePath)
  }

  /// Removes every file: debris of a run that was never created.
  package func removeAll() throws(SystemCallError) {
    for name in try FileSystem.list(directory) { try FileSystem.remove("\(directory)/\(name)") }
    try FileSystem.synchronizeDirectory(directory)
  }

  /// Removes files that were still being written when a process ended.
  package func removeDebris() throws(SystemCallError) {
    for name in try FileSystem.list(directory) where name.hasSuffix(FileSystem.temporarySuffix) {
      try FileSystem.remove("\(directory)/\(name)")
    }
  }
}

extension PayloadPlace {
  /// The bytes' range in a file, if the file is long enough to hold them.
  fileprivate func range(inFileOf fileByteCount: Int) -> Range<Int>? {
    let count = Int(byteCount)
    guard count <= fileByteCount, byteOffset <= UInt64(fileByteCount - count) else { return nil }
    return Int(byteOffset)..<Int(byteOffset) + count
  }
}
