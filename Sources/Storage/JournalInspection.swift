import Hashing
import JournalFormat
import SystemIO

/// Looking at a journal that nobody writes: what is there, what is wrong, what can be saved.
///
/// The input is never changed.
package enum JournalInspection {
  package struct Segment: Equatable, Sendable {
    package let copy: JournalCopy
    package let path: String
    package let firstSequence: UInt64
    package let frameCount: Int
    /// `nil` for a segment without frames.
    package let lastSequence: UInt64?
    /// The chain value after the last frame.
    package let chain: Digest?
  }

  package struct Snapshot: Equatable, Sendable {
    package let copy: JournalCopy
    package let path: String
    package let sequence: UInt64
    package let isValid: Bool
  }

  /// Something wrong with one copy.
  package struct Problem: Equatable, Sendable {
    package let copy: JournalCopy
    package let path: String
    package let byteOffset: Int
    /// The sequence that was expected there.
    package let sequence: UInt64
    package let what: String
  }

  package struct Report: Sendable {
    package internal(set) var segments: [Segment] = []
    package internal(set) var snapshots: [Snapshot] = []
    /// Each copy judged on its own.
    package internal(set) var problems: [Problem] = []
    /// What opening would mend, one copy from the other.
    package internal(set) var repairs: [SegmentRepair] = []
    /// Why opening would refuse; `nil` if it would not.
    package internal(set) var refusal: JournalFailure?
    /// Sequence and chain after the last frame that both together hold.
    package internal(set) var end: JournalWalk.Base?
    /// Frames that opening would hand over.
    package internal(set) var frameCount = 0

    /// Both copies whole, and the same.
    package var isSound: Bool { refusal == nil && problems.isEmpty && repairs.isEmpty }
  }

  /// Judges each copy on its own and both together.
  package static func verify(_ directories: (String, String)) throws(JournalFailure) -> Report {
    let pair = JournalPair(directories)
    var report = Report()
    let firsts = try system { () throws(SystemCallError) in
      Set(try pair.listing(.a).segments + pair.listing(.b).segments).sorted()
    }
    let sequences = try system { () throws(SystemCallError) in
      Set(try pair.listing(.a).snapshots + pair.listing(.b).snapshots).sorted()
    }
    for copy in JournalCopy.allCases {
      for sequence in sequences { try look(at: sequence, copy, pair, &report) }
      for first in firsts { try scan(first, copy, pair, &report) }
    }
    do throws(JournalFailure) {
      guard let survey = try pair.survey(isLive: false) else {
        throw .missing(pathA: pair.directoryA, pathB: pair.directoryB)
      }
      report.repairs = survey.repairs
      report.end = survey.walk.end
      report.frameCount = survey.walk.payloads.count
    } catch {
      report.refusal = error
    }
    return report
  }

  private static func look(
    at sequence: UInt64, _ copy: JournalCopy, _ pair: JournalPair, _ report: inout Report
  ) throws(JournalFailure) {
    let path = pair.path(copy, JournalName.snapshot(sequence))
    let isValid =
      try system { () throws(SystemCallError) in try pair.snapshot(copy, sequence) } != nil
    report.snapshots.append(
      Snapshot(copy: copy, path: path, sequence: sequence, isValid: isValid))
    if !isValid {
      report.problems.append(
        Problem(
          copy: copy, path: path, byteOffset: 0, sequence: sequence,
          what: FileSystem.exists(path) ? "the snapshot does not verify" : "the file is missing"))
    }
  }

  private static func scan(
    _ first: UInt64, _ copy: JournalCopy, _ pair: JournalPair, _ report: inout Report
  ) throws(JournalFailure) {
    let name = JournalName.segment(first)
    let path = pair.path(copy, name)
    guard let bytes = try system({ () throws(SystemCallError) in try pair.read(copy, name) }) else {
      report.problems.append(
        Problem(
          copy: copy, path: path, byteOffset: 0, sequence: first, what: "the file is missing"))
      return
    }
    let scan = SegmentScan(bytes, firstSequence: first)
    report.segments.append(
      Segment(
        copy: copy, path: path, firstSequence: first, frameCount: scan.frames.count,
        lastSequence: scan.frames.last?.sequence, chain: scan.chain))
    for gap in scan.gaps {
      report.problems.append(
        Problem(
          copy: copy, path: path, byteOffset: gap.range.lowerBound, sequence: gap.sequence,
          what: "\(gap.range.count) bytes are no frame that continues the chain"))
    }
  }
}
