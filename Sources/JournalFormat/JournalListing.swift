/// Which of a journal's two copies.
package enum JournalCopy: Int, Sendable, CaseIterable, CustomStringConvertible {
  case a = 0
  case b = 1

  package var other: JournalCopy { self == .a ? .b : .a }
  package var description: String { self == .a ? "A" : "B" }
}

/// The names a journal's directory may hold.
package enum JournalName {
  package static let segmentSuffix = ".journal"
  package static let snapshotSuffix = ".snapshot"
  /// Ends the name of bytes that were cleared away from a segment's tail.
  package static let brokenSuffix = ".broken"
  /// Ends the name of a file that is still being written; debris after a crash.
  package static let partialSuffix = ".partial"
  package static let reserve = "reserve"

  package static func segment(_ firstSequence: UInt64) -> String {
    digits(firstSequence) + segmentSuffix
  }

  package static func snapshot(_ sequence: UInt64) -> String { digits(sequence) + snapshotSuffix }

  /// Twenty digits, so that the order of names is the order of sequences.
  private static func digits(_ number: UInt64) -> String {
    let digits = String(number)
    return String(repeating: "0", count: 20 - digits.count) + digits
  }
}

/// What a directory's names say, sorted.
package struct JournalListing: Equatable, Sendable {
  /// First sequences of segments.
  package var segments: [UInt64] = []
  /// Sequences of snapshots.
  package var snapshots: [UInt64] = []
  /// Files left half-written by a crash.
  package var debris: [String] = []
  package var broken: [String] = []
  package var hasReserve = false
  /// Names that are no part of a journal; left alone.
  package var unknown: [String] = []

  package init(names: [String] = []) {
    for name in names.sorted() {
      if let first = Self.number(name, JournalName.segmentSuffix), first > 0 {
        segments.append(first)
      } else if let sequence = Self.number(name, JournalName.snapshotSuffix) {
        snapshots.append(sequence)
      } else if name.hasSuffix(JournalName.partialSuffix) {
        debris.append(name)
      } else if name.hasSuffix(JournalName.brokenSuffix) {
        broken.append(name)
      } else if name == JournalName.reserve {
        hasReserve = true
      } else {
        unknown.append(name)
      }
    }
  }

  package var isEmpty: Bool { segments.isEmpty && snapshots.isEmpty }

  private static func number(_ name: String, _ suffix: String) -> UInt64? {
    guard name.hasSuffix(suffix) else { return nil }
    let digits = name.dropLast(suffix.count)
    guard digits.utf8.count == 20, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return nil
    }
    return UInt64(digits).flatMap { $0 <= SegmentFrame.lastSequence ? $0 : nil }
  }
}
