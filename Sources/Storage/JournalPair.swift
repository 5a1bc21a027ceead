import JournalFormat
import SystemIO

/// The two directories of a journal, and the reading of them that all its parts share.
struct JournalPair: Sendable {
  let directoryA: String
  let directoryB: String

  init(_ directories: (String, String)) {
    directoryA = directories.0
    directoryB = directories.1
  }

  func directory(_ copy: JournalCopy) -> String { copy == .a ? directoryA : directoryB }

  func path(_ copy: JournalCopy, _ name: String) -> String { directory(copy) + "/" + name }

  /// What the names in a directory say; nothing for one that is not there.
  func listing(_ copy: JournalCopy) throws(SystemCallError) -> JournalListing {
    do throws(SystemCallError) {
      return JournalListing(names: try FileSystem.list(directory(copy)))
    } catch {
      if error.isNotFound { return JournalListing() }
      throw error
    }
  }

  func read(_ copy: JournalCopy, _ name: String) throws(SystemCallError) -> [UInt8]? {
    try FileSystem.readIfPresent(path(copy, name))
  }

  func twin(_ firstSequence: UInt64) throws(SystemCallError) -> TwinSegment {
    let name = JournalName.segment(firstSequence)
    // A before B, as they are written: what a live writer finishes meanwhile is then in B.
    let a = try read(.a, name)
    return TwinSegment(a: a, b: try read(.b, name), firstSequence: firstSequence)
  }

  func snapshot(_ copy: JournalCopy, _ sequence: UInt64) throws(SystemCallError) -> SnapshotFile? {
    guard let bytes = try read(copy, JournalName.snapshot(sequence)) else { return nil }
    return SnapshotFile(bytes, named: sequence)
  }

  func damaged(_ defect: JournalDefect) -> JournalFailure {
    let name = JournalName.segment(defect.segment)
    return .damaged(defect, pathA: path(.a, name), pathB: path(.b, name))
  }
}

/// All that recovery learns from the files, before anything is changed.
struct JournalSurvey {
  var walk: JournalWalk
  var snapshot: SnapshotFile?
  /// Copies whose snapshot must be written anew.
  var snapshotRepairs: [JournalCopy] = []
  var repairs: [SegmentRepair] = []
  /// First sequences of the segments walked.
  var segments: [UInt64] = []
  /// Where the next frame goes in the last of them.
  var byteOffset = 0
  /// Things to report that ask for no change.
  var remarks: [String] = []
}

extension JournalPair {
  /// Judges everything from the newest usable snapshot on; changes nothing.
  ///
  /// - Returns: `nil` where neither directory holds a journal.
  func survey(isLive: Bool) throws(JournalFailure) -> JournalSurvey? {
    let listings = try system { () throws(SystemCallError) in
      (a: try listing(.a), b: try listing(.b))
    }
    guard !listings.a.isEmpty || !listings.b.isEmpty else { return nil }
    let firsts = Set(listings.a.segments + listings.b.segments).sorted()
    let sequences = Set(listings.a.snapshots + listings.b.snapshots).sorted()
    let chosen = try newestSnapshot(among: sequences)
    let base = chosen.snapshot.map {
      JournalWalk.Base(sequence: $0.sequence, chain: $0.chain)
    }
    guard let segments = JournalWalk.segments(firsts, after: base) else {
      throw .uncovered(
        through: (base?.sequence ?? 0) + 1, pathA: directoryA, pathB: directoryB)
    }
    // A snapshot is only begun of what is durable, so even a rotted one's name is a witness.
    var survey = JournalSurvey(
      walk: JournalWalk(
        after: base, acknowledgedThrough: sequences.last ?? 0, isLive: isLive),
      snapshot: chosen.snapshot, snapshotRepairs: chosen.repairs, segments: Array(segments),
      remarks: chosen.remarks)
    for (index, first) in survey.segments.enumerated() {
      let twin = try system { () throws(SystemCallError) in try self.twin(first) }
      let following = index + 1 < segments.count ? survey.segments[index + 1] : nil
      do {
        let repair = try survey.walk.take(twin, following: following)
        survey.byteOffset = repair.byteCount
        if !repair.isEmpty { survey.repairs.append(repair) }
      } catch {
        throw damaged(error)
      }
    }
    return survey
  }

  private func newestSnapshot(among sequences: [UInt64]) throws(JournalFailure)
    -> (snapshot: SnapshotFile?, repairs: [JournalCopy], remarks: [String])
  {
    var remarks: [String] = []
    for sequence in sequences.reversed() {
      let copies = try system { () throws(SystemCallError) in
        (a: try snapshot(.a, sequence), b: try snapshot(.b, sequence))
      }
      if let a = copies.a, let b = copies.b, a.digest != b.digest {
        let name = JournalName.snapshot(sequence)
        throw .snapshotsDiverged(
          sequence: sequence, pathA: path(.a, name), pathB: path(.b, name))
      }
      if let found = copies.a ?? copies.b {
        let repairs: [JournalCopy] = copies.a == nil ? [.a] : copies.b == nil ? [.b] : []
        return (found, repairs, remarks)
      }
      remarks.append("snapshot \(sequence) is valid in neither copy; an older state is used")
    }
    return (nil, [], remarks)
  }
}
