import Hashing
import JournalFormat
import SystemIO

extension Journal {
  /// What opening found.
  package struct Opened {
    package let journal: Journal
    package let snapshot: (sequence: UInt64, bytes: [UInt8])?
    /// What was appended after the snapshot.
    package let payloads: [[UInt8]]
    /// Sequence of the first of `payloads`.
    package let firstSequence: UInt64
    /// Term of the coordinator that wrote each of `payloads`.
    package let epochs: [UInt64]
    /// What one copy lacked and got from the other, in sentences for the log.
    package let repairs: [String]
    /// Bytes of an unfinished, never acknowledged batch that were dropped.
    package let droppedByteCount: Int
  }

  /// What a journal holds, as seen beside its writer.
  package struct View: Sendable {
    package let snapshot: (sequence: UInt64, bytes: [UInt8])?
    package let payloads: [[UInt8]]
    package let firstSequence: UInt64
    package let epochs: [UInt64]
    /// The chain value after the last payload.
    package let chain: Digest
  }

  /// Reads a pair of directories to its end, repairs each copy from the other, and stays ready to
  /// append; begins a journal where both are empty.
  ///
  /// Everything is judged before anything is changed. The caller holds the run's lock.
  package static func open(_ directories: (String, String), mayCreate: Bool = true)
    throws(JournalFailure) -> Opened
  {
    let pair = JournalPair(directories)
    if let survey = try pair.survey(isLive: false) { return try open(pair, survey) }
    guard mayCreate else { throw .missing(pathA: pair.directoryA, pathB: pair.directoryB) }
    return try system { () throws(SystemCallError) in
      try pair.clearDebris()
      let header = SegmentHeader(beginning: Digest(SystemRandom.bytes(count: Digest.byteCount))!)
      try pair.prepareSegment(header)
      try pair.placeSegment(header)
      let journal = try Journal(
        pair, nonce: header.nonce,
        end: JournalWalk.Base(sequence: 0, chain: header.chain), segment: 1,
        byteOffset: SegmentHeader.byteCount)
      try journal.replenish()
      return Opened(
        journal: journal, snapshot: nil, payloads: [], firstSequence: 1, epochs: [], repairs: [],
        droppedByteCount: 0)
    }
  }

  private static func open(_ pair: JournalPair, _ survey: JournalSurvey) throws(JournalFailure)
    -> Opened
  {
    guard let end = survey.walk.end, let nonce = survey.walk.nonce,
      let segment = survey.segments.last
    else { throw .missing(pathA: pair.directoryA, pathB: pair.directoryB) }
    return try system { () throws(SystemCallError) in
      try pair.clearDebris()
      var reports = survey.remarks
      for copy in survey.snapshotRepairs {
        if let snapshot = survey.snapshot {
          reports.append(try pair.restore(snapshot, in: copy))
        }
      }
      for repair in survey.repairs { reports += try pair.perform(repair) }
      let journal = try Journal(
        pair, nonce: nonce, end: end, segment: segment, byteOffset: survey.byteOffset)
      try journal.replenish()
      return Opened(
        journal: journal, snapshot: survey.snapshot.map { ($0.sequence, $0.bytes) },
        payloads: survey.walk.payloads, firstSequence: (survey.snapshot?.sequence ?? 0) + 1,
        epochs: survey.walk.epochs, repairs: reports,
        droppedByteCount: survey.walk.droppedByteCount)
    }
  }

  /// The payloads of a journal that another process may be appending to; changes nothing.
  ///
  /// An unfinished last batch is simply the end. Files that the writer retires or begins meanwhile
  /// make it look again.
  package static func read(_ directories: (String, String)) throws(JournalFailure) -> View {
    let pair = JournalPair(directories)
    var attempt = 0
    while true {
      attempt += 1
      do throws(JournalFailure) {
        guard let survey = try pair.survey(isLive: true), let end = survey.walk.end else {
          throw JournalFailure.missing(pathA: pair.directoryA, pathB: pair.directoryB)
        }
        return View(
          snapshot: survey.snapshot.map { ($0.sequence, $0.bytes) },
          payloads: survey.walk.payloads, firstSequence: (survey.snapshot?.sequence ?? 0) + 1,
          epochs: survey.walk.epochs, chain: end.chain)
      } catch {
        if attempt == readAttemptLimit { throw error }
        SystemClock.sleep(seconds: 0.002)
      }
    }
  }

  private static let readAttemptLimit = 5
}

extension JournalPair {
  /// Makes both directories and removes what a crash left half-written.
  func clearDebris() throws(SystemCallError) {
    for copy in JournalCopy.allCases {
      try FileSystem.createDirectory(directory(copy))
      let debris = try listing(copy).debris
      for name in debris { try FileSystem.remove(path(copy, name)) }
      if !debris.isEmpty { try FileSystem.synchronizeDirectory(directory(copy)) }
    }
  }

  func restore(_ snapshot: SnapshotFile, in copy: JournalCopy) throws(SystemCallError) -> String {
    let name = JournalName.snapshot(snapshot.sequence)
    let file = SnapshotFile.encode(
      snapshot.bytes, through: snapshot.sequence, chain: snapshot.chain)
    try writeAside(copy, name, file.file, zerosTo: 0)
    try place(copy, name)
    return "\(path(copy, name)): written anew from copy \(copy.other)"
  }

  /// Brings both copies of a segment to the same frames; repeatable, should it be cut short.
  func perform(_ repair: SegmentRepair) throws(SystemCallError) -> [String] {
    let name = JournalName.segment(repair.segment)
    if let missing = repair.missing {
      let source = try read(missing.other, name) ?? []
      try writeAside(
        missing, name, Array(source.prefix(repair.byteCount)), zerosTo: source.count)
      try place(missing, name)
      return ["\(path(missing, name)): missing; made anew from copy \(missing.other)"]
    }
    var reports: [String] = []
    for copy in JournalCopy.allCases {
      let rewrites = repair.rewrites.filter { $0.copy == copy }
      let drop = repair.drop.flatMap { $0.copy == copy ? $0.range : nil }
      guard !rewrites.isEmpty || drop != nil else { continue }
      let path = path(copy, name)
      let file = try OwnedDescriptor.openForUpdating(path)
      let source = try OwnedDescriptor.openForUpdating(self.path(copy.other, name))
      for rewrite in rewrites {
        let good = try source.read(rewrite.range, path: self.path(copy.other, name))
        try file.write(good, at: rewrite.range.lowerBound, path: path)
        reports.append(
          "\(path): bytes \(rewrite.range) (\(Self.words(rewrite.sequences))) from copy"
            + " \(copy.other)")
      }
      if let drop {
        reports.append(try clear(drop, of: file, copy, name))
      }
      try file.synchronize(path: path)
    }
    return reports
  }

  /// Zeroes bytes that nobody was promised, after keeping them aside: they may help to understand
  /// a crash. Where the disk is full they are not kept.
  private func clear(
    _ range: Range<Int>, of file: OwnedDescriptor, _ copy: JournalCopy, _ name: String
  ) throws(SystemCallError) -> String {
    let path = path(copy, name)
    let bytes = try file.read(range, path: path)
    var place = "kept in \(path + JournalName.brokenSuffix)"
    do throws(SystemCallError) {
      try FileSystem.replace(path + JournalName.brokenSuffix, with: bytes)
    } catch {
      guard error.isDiskFull else { throw error }
      place = "not kept, as the disk is full"
    }
    var offset = range.lowerBound
    try file.writeZeros(from: &offset, to: range.upperBound, path: path)
    return "\(path): bytes \(range) were never acknowledged; cleared, and \(place)"
  }

  private static func words(_ sequences: Range<UInt64>) -> String {
    switch sequences.count {
    case 0: "header"
    case 1: "sequence \(sequences.lowerBound)"
    default: "sequences \(sequences.lowerBound) to \(sequences.upperBound - 1)"
    }
  }
}
