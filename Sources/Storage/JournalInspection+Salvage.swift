import Hashing
import JournalFormat
import SystemIO

extension JournalInspection {
  /// What was saved and what was not.
  package struct Salvage: Sendable {
    /// The snapshot the new pair begins with.
    package internal(set) var snapshotSequence: UInt64?
    /// Sequences of the frames written, from the snapshot on or from 1; `nil` if there are none.
    package internal(set) var saved: ClosedRange<UInt64>?
    /// Where saving stopped, or what made it begin behind a gap; `nil` if nothing was wrong.
    package internal(set) var defect: JournalDefect?
    /// Sequences of whole frames behind the first that is valid in neither copy: they were seen,
    /// but not saved, as what they build on is gone.
    package internal(set) var lost: [ClosedRange<UInt64>] = []
  }

  /// Writes a new pair with the newest valid snapshot and every frame up to the first that is
  /// valid in neither copy.
  ///
  /// - Throws: Also where the output directories hold anything, or nothing at all can be saved.
  package static func salvage(
    _ directories: (String, String), to output: (String, String)
  ) throws(JournalFailure) -> Salvage {
    let (input, target) = (JournalPair(directories), JournalPair(output))
    try requireEmpty(target)
    var work = SalvageWork(input)
    try work.collect()
    guard !work.files.isEmpty else {
      throw .uncovered(through: 1, pathA: input.directoryA, pathB: input.directoryB)
    }
    try system { () throws(SystemCallError) in
      for copy in JournalCopy.allCases {
        try FileSystem.createDirectory(target.directory(copy))
        for file in work.files {
          let chunk = Journal.chunkByteCount
          let end = (file.bytes.count + chunk - 1) / chunk * chunk
          try target.writeAside(
            copy, file.name, file.bytes, zerosTo: file.isSegment ? end : 0)
          try target.place(copy, file.name)
        }
      }
    }
    return work.report
  }

  private static func requireEmpty(_ pair: JournalPair) throws(JournalFailure) {
    for copy in JournalCopy.allCases {
      let isTaken = try system { () throws(SystemCallError) in
        guard FileSystem.exists(pair.directory(copy)) else { return false }
        return try !FileSystem.list(pair.directory(copy)).isEmpty
      }
      guard !isTaken else { throw .system(.alreadyExists(pair.directory(copy))) }
    }
  }
}

/// Collects the files of a new pair.
private struct SalvageWork {
  struct File {
    var name: String
    var bytes: [UInt8]
    var isSegment: Bool
  }

  let pair: JournalPair
  var files: [File] = []
  var report = JournalInspection.Salvage()

  init(_ pair: JournalPair) {
    self.pair = pair
  }

  mutating func collect() throws(JournalFailure) {
    let firsts = try system { () throws(SystemCallError) in
      Set(try pair.listing(.a).segments + pair.listing(.b).segments).sorted()
    }
    let snapshot = try newestSnapshot()
    let base = snapshot.map { JournalWalk.Base(sequence: $0.sequence, chain: $0.chain) }
    if let snapshot {
      report.snapshotSequence = snapshot.sequence
      let file = SnapshotFile.encode(
        snapshot.bytes, through: snapshot.sequence, chain: snapshot.chain)
      files.append(
        File(name: JournalName.snapshot(snapshot.sequence), bytes: file.file, isSegment: false))
    }
    let covering = JournalWalk.segments(firsts, after: base)
    var rest = covering ?? firsts[...]
    var walk = JournalWalk(after: base, acknowledgedThrough: 0)
    var start: TwinSegment.Position?
    if covering != nil {
      rest = try take(rest, &walk, from: nil)
    }
    // The frames a snapshot covers are not missed: go on with the first behind it, wherever it is.
    if let base, walk.end?.sequence ?? 0 < base.sequence {
      files.removeAll(where: \.isSegment)
      let nonce = walk.nonce ?? Digest(SystemRandom.bytes(count: Digest.byteCount))!
      walk = JournalWalk(after: base, acknowledgedThrough: 0)
      start = try find(base, &rest)
      let header = SegmentHeader(
        firstSequence: base.sequence + 1, chain: base.chain, nonce: nonce)
      files.append(
        File(
          name: JournalName.segment(header.firstSequence), bytes: header.encoded,
          isSegment: true))
      if start != nil { rest = try take(rest, &walk, from: start) }
    }
    try reckonLost(rest, after: max(walk.end?.sequence ?? 0, base?.sequence ?? 0))
    if let end = walk.end, end.sequence > base?.sequence ?? 0 {
      report.saved = (base?.sequence ?? 0) + 1...end.sequence
    }
  }

  private func newestSnapshot() throws(JournalFailure) -> SnapshotFile? {
    try system { () throws(SystemCallError) in
      let sequences = Set(try pair.listing(.a).snapshots + pair.listing(.b).snapshots).sorted()
      for sequence in sequences.reversed() {
        let copies = (a: try pair.snapshot(.a, sequence), b: try pair.snapshot(.b, sequence))
        // Of two that differ neither is to be believed.
        if let a = copies.a, let b = copies.b, a.digest != b.digest { continue }
        if let found = copies.a ?? copies.b { return found }
      }
      return nil
    }
  }

  /// Walks on; returns the segments not taken whole, the broken one first.
  private mutating func take(
    _ segments: ArraySlice<UInt64>, _ walk: inout JournalWalk, from start: TwinSegment.Position?
  ) throws(JournalFailure) -> ArraySlice<UInt64> {
    var start = start
    for index in segments.indices {
      let twin = try system { () throws(SystemCallError) in try pair.twin(segments[index]) }
      let following = index + 1 < segments.endIndex ? segments[index + 1] : nil
      var defect: JournalDefect?
      do throws(JournalDefect) {
        _ = try walk.take(twin, following: following, from: start)
      } catch {
        defect = error
      }
      if defect?.kind == .headerLost, let end = walk.end, let nonce = walk.nonce,
        end.sequence + 1 == twin.firstSequence
      {
        // All that a header says is known from the segment before.
        report.defect = defect
        (defect, start) = try takeWithoutHeader(twin, following, end, nonce, &walk)
      }
      if let repair = walk.lastRepair, repair.segment == twin.firstSequence {
        let good = repair.goodBytes(of: twin)
        if let start {
          files[files.count - 1].bytes += good.dropFirst(start.byteOffset)
        } else if good.count >= SegmentHeader.byteCount {
          files.append(
            File(
              name: JournalName.segment(twin.firstSequence), bytes: good, isSegment: true))
        }
      }
      if let defect {
        report.defect = defect
        return segments[index...]
      }
      start = nil
    }
    return []
  }

  private mutating func takeWithoutHeader(
    _ twin: TwinSegment, _ following: UInt64?, _ end: JournalWalk.Base, _ nonce: Digest,
    _ walk: inout JournalWalk
  ) throws(JournalFailure) -> (defect: JournalDefect?, start: TwinSegment.Position) {
    let start = TwinSegment.Position(
      byteOffset: SegmentHeader.byteCount, sequence: twin.firstSequence, chain: end.chain)
    let header = SegmentHeader(firstSequence: twin.firstSequence, chain: end.chain, nonce: nonce)
    files.append(
      File(
        name: JournalName.segment(twin.firstSequence), bytes: header.encoded, isSegment: true))
    do throws(JournalDefect) {
      _ = try walk.take(twin, following: following, from: start)
      return (nil, start)
    } catch {
      return (error, start)
    }
  }

  /// The frame that continues a snapshot, in the first segment that has it.
  private func find(_ base: JournalWalk.Base, _ segments: inout ArraySlice<UInt64>)
    throws(JournalFailure) -> TwinSegment.Position?
  {
    for index in segments.indices {
      let twin = try system { () throws(SystemCallError) in try pair.twin(segments[index]) }
      for copy in JournalCopy.allCases {
        if let offset = twin.offset(continuing: base, in: copy) {
          segments = segments[index...]
          return TwinSegment.Position(
            byteOffset: offset, sequence: base.sequence + 1, chain: base.chain)
        }
      }
    }
    return nil
  }

  private mutating func reckonLost(_ segments: ArraySlice<UInt64>, after sequence: UInt64)
    throws(JournalFailure)
  {
    var seen: Set<UInt64> = []
    for first in segments {
      let twin = try system { () throws(SystemCallError) in try pair.twin(first) }
      for copy in JournalCopy.allCases {
        let scan = SegmentScan(twin.bytes(of: copy) ?? [], firstSequence: first)
        seen.formUnion(scan.frames.map(\.sequence).filter { $0 > sequence })
      }
    }
    for sequence in seen.sorted() {
      if let last = report.lost.last, last.upperBound + 1 == sequence {
        report.lost[report.lost.count - 1] = last.lowerBound...sequence
      } else {
        report.lost.append(sequence...sequence)
      }
    }
  }
}
