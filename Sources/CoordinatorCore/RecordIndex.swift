import Hashing
import Unlearning

/// A record that is part of the run.
package struct LiveRecord: Equatable, Sendable {
  /// Its row in the run's table.
  package let row: Int
  package let location: SliceLocation
  package let contents: IngestedRecord

  package var digest: Digest { contents.digest }
}

/// Eight bytes of a keyed hash, never zero: enough to look something up, to be confirmed on the
/// bytes.
package struct LookupTag: Hashable, Sendable {
  package let value: UInt64

  package init(_ value: UInt64) {
    self.value = value
  }

  /// The first bytes of a digest, big-endian; zero stands for none wherever tags are kept.
  package init(_ digest: Digest) {
    value = max(1, digest.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
  }
}

/// Live records by tag, by subject and, where there are several, by payload.
///
/// What it says of a record stands in the table; it keeps where to look: eight bytes a record for
/// its tag, as many for a subject and for a payload that others have too, and the slices' trees,
/// about nine bytes more. It is made from the table and the state at every start, and holds one
/// against the other; both then change together.
package struct RecordIndex: Sendable {
  package let table: RecordTable
  private var trees: [SliceTree]
  private let byTag: SortedRows
  private let bySubject: SortedRows
  /// Records that are not alone with their payload.
  private let byPayload: SortedRows
  /// How many live records have a payload that very many have, as they are too many to be counted
  /// whenever one is deleted.
  private var crowds: [LookupTag: Int]
  package private(set) var count: Int
  /// Rows of deleted records that are not known to be overwritten, oldest deletion first.
  package private(set) var condemned: [Int]

  /// Judges every row of a table against the state of its run.
  ///
  /// - Throws: `RecordTableProblem` unless each slice has exactly the records that the state says.
  package init(_ table: RecordTable, _ state: RunState) throws(RecordTableProblem) {
    guard table.shardCount == state.plan.shardCount, table.sliceCount == state.plan.sliceCount
    else { throw .otherRun }
    var (tags, subjects, payloads) = (SortedRows.Builder(), SortedRows.Builder(), [UInt64]())
    payloads.reserveCapacity(state.recordCount)
    tags.reserveCapacity(state.recordCount)
    (trees, count, condemned) = ([], 0, [])
    for location in table.locations {
      let rows = table.rows(of: location)
      var isLive = [Bool](repeating: false, count: rows.count)
      var damaged: Int?
      var last: Digest?
      for row in rows {
        switch table.state(ofRow: row) {
        case .erased: continue
        case .damaged:
          // Only a row that was being overwritten may be: its record's bytes went before it.
          condemned.append(row)
          damaged = damaged ?? row
          continue
        case .whole: break
        }
        let tag = table.tag(ofRow: row)
        if state.deletedTags[tag] != nil {
          condemned.append(row)
          continue
        }
        // Out of order is as good as another record: the tree would not be the slice's.
        let digest = table.digest(ofRow: row)
        if let last, last >= digest { damaged = damaged ?? row }
        last = digest
        isLive[row - rows.lowerBound] = true
        tags.add(tag.lookup, row: row)
        payloads.append(SortedRows.entry(table.payload(ofRow: row), row: row))
        if let subject = table.subject(ofRow: row) { subjects.add(subject, row: row) }
      }
      let tree = SliceTree(
        placeCount: rows.count, isPresent: { isLive[$0] },
        digest: { table.digest(ofRow: rows.lowerBound + $0) })
      let expected = state.slices[location.shard][location.slice]
      guard SliceState(tree) == expected else {
        throw .wrongRecords(
          location, expected: expected.recordCount, found: tree.recordCount, row: damaged)
      }
      count += tree.recordCount
      trees.append(tree)
    }
    self.table = table
    byTag = tags.finish()
    bySubject = subjects.finish()
    (byPayload, crowds) = SortedRows.repeated(payloads) { table.payload(ofRow: $0) }
  }

  package subscript(tag: RecordTag) -> LiveRecord? {
    byTag.first(of: tag.lookup) { isLive($0) && table.tag(ofRow: $0) == tag }.map { row in
      LiveRecord(
        row: row, location: table.location(ofRow: row), contents: table.record(ofRow: row))
    }
  }

  /// Every live record's, in no order that means anything; long.
  package var tags: [RecordTag] {
    (0..<table.rowCount).filter(isLive).map { table.tag(ofRow: $0) }
  }

  /// Live records of a person.
  package func tags(ofSubject subject: LookupTag) -> Set<RecordTag> {
    var tags: Set<RecordTag> = []
    bySubject.visit(subject) { row in
      if isLive(row), table.subject(ofRow: row) == subject { tags.insert(table.tag(ofRow: row)) }
    }
    return tags
  }

  /// Other live records with the payload of this one.
  package func duplicates(of tag: RecordTag) -> Set<RecordTag> {
    guard let record = self[tag] else { return [] }
    let payload = record.contents.payload
    var tags: Set<RecordTag> = []
    byPayload.visit(payload) { row in
      if row != record.row, isLive(row), table.payload(ofRow: row) == payload {
        tags.insert(table.tag(ofRow: row))
      }
    }
    return tags
  }

  /// How many those are.
  package func duplicateCount(of tag: RecordTag) -> Int {
    guard let record = self[tag] else { return 0 }
    return crowds[record.contents.payload].map { $0 - 1 } ?? duplicates(of: tag).count
  }

  /// Which of a slice's records are part of the run: enough to tell without the index.
  package func presence(of location: SliceLocation) -> SlicePresence {
    SlicePresence(
      firstRow: table.rows(of: location).lowerBound,
      places: trees[table.ordinal(of: location)].presence)
  }

  private func isLive(_ row: Int) -> Bool {
    let location = table.location(ofRow: row)
    return trees[table.ordinal(of: location)].contains(row - table.rows(of: location).lowerBound)
  }

  /// Takes records out; says what the slices that had them come to.
  mutating func remove(_ tags: [RecordTag]) -> [SliceSummary] {
    var leaving: [SliceLocation: [Int]] = [:]
    for tag in tags {
      guard let record = self[tag] else { continue }
      leaving[record.location, default: []].append(record.row)
      if let count = crowds[record.contents.payload] { crowds[record.contents.payload] = count - 1 }
    }
    return leaving.sorted { $0.key < $1.key }.map { location, rows in
      let first = table.rows(of: location).lowerBound
      let ordinal = table.ordinal(of: location)
      trees[ordinal].remove(rows.map { $0 - first }.sorted()) { [table] in
        table.digest(ofRow: first + $0)
      }
      count -= rows.count
      condemned += rows
      return SliceSummary(location: location, contents: SliceState(trees[ordinal]))
    }
  }

  /// Forgets the oldest condemned rows: they are overwritten.
  mutating func forgetErased(_ rowCount: Int) { condemned.removeFirst(rowCount) }
}

extension RecordIndex: Equatable {
  /// Equal where the same rows are live: the rest follows from them and the table.
  package static func == (left: Self, right: Self) -> Bool {
    left.table.binding == right.table.binding && left.trees == right.trees
  }
}

extension SliceState {
  init(_ tree: SliceTree) {
    self.init(recordCount: tree.recordCount, digest: tree.digest)
  }
}

extension RecordTag {
  fileprivate var lookup: LookupTag { LookupTag(digest) }
}

/// The rows of a slice that are live, at one moment.
package struct SlicePresence: Sendable {
  fileprivate let firstRow: Int
  fileprivate let places: SliceTree.Presence

  package func contains(row: Int) -> Bool { places.contains(row - firstRow) }
}

/// Row numbers in the order of a key, with the key's upper half beside each.
///
/// Never changed: whoever asks is told of rows that have left, too, and of rows whose keys share
/// those 32 bits, and looks at the row itself.
private struct SortedRows: Sendable {
  private let entries: [UInt64]

  static func entry(_ key: LookupTag, row: Int) -> UInt64 {
    key.value & 0xffff_ffff_0000_0000 | UInt64(row)
  }

  private static func row(_ entry: UInt64) -> Int { Int(entry & 0xffff_ffff) }

  struct Builder {
    private var entries: [UInt64] = []

    mutating func reserveCapacity(_ count: Int) { entries.reserveCapacity(count) }

    mutating func add(_ key: LookupTag, row: Int) {
      entries.append(SortedRows.entry(key, row: row))
    }

    consuming func finish() -> SortedRows { SortedRows(entries) }
  }

  private init(_ unsorted: consuming [UInt64]) {
    var entries = unsorted
    entries.sort()
    self.entries = Array(entries)
  }

  /// More rows than these of one key are a crowd.
  private static let crowdLimit = 16

  /// Those alone whose key another row has too, and the sizes of the crowds among them.
  static func repeated(_ unsorted: consuming [UInt64], key: (Int) -> LookupTag)
    -> (SortedRows, crowds: [LookupTag: Int])
  {
    var entries = unsorted
    entries.sort()
    var kept: [UInt64] = []
    var crowds: [LookupTag: Int] = [:]
    var start = 0
    while start < entries.count {
      var end = start + 1
      while end < entries.count, entries[end] >> 32 == entries[start] >> 32 { end += 1 }
      if end - start > 1 {
        var counts: [LookupTag: Int] = [:]
        for entry in entries[start..<end] { counts[key(row(entry)), default: 0] += 1 }
        kept += entries[start..<end].filter { counts[key(row($0))]! > 1 }
        crowds.merge(counts.filter { $0.value > crowdLimit }) { first, _ in first }
      }
      start = end
    }
    return (SortedRows(kept), crowds)
  }

  /// Every row whose key may be this one.
  func visit(_ key: LookupTag, _ body: (Int) -> Void) {
    _ = first(of: key) { row in
      body(row)
      return false
    }
  }

  /// The first row whose key may be this one and for which `isMeant` holds.
  func first(of key: LookupTag, where isMeant: (Int) -> Bool) -> Int? {
    let wanted = key.value >> 32
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle] >> 32 < wanted { low = middle + 1 } else { high = middle }
    }
    while low < entries.count, entries[low] >> 32 == wanted {
      if isMeant(Self.row(entries[low])) { return Self.row(entries[low]) }
      low += 1
    }
    return nil
  }
}
