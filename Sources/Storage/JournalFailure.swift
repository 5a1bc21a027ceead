import JournalFormat
import SystemIO

/// Why a journal cannot be opened or read.
package enum JournalFailure: Error, Sendable {
  case system(SystemCallError)
  /// Acknowledged facts may be lost; nothing was changed. The paths are the segment's two copies.
  case damaged(JournalDefect, pathA: String, pathB: String)
  /// No snapshot verifies that the segments left would continue.
  case uncovered(through: UInt64, pathA: String, pathB: String)
  /// Two valid snapshots of one sequence differ.
  case snapshotsDiverged(sequence: UInt64, pathA: String, pathB: String)
  /// There is no journal, and the caller did not ask for a new one.
  case missing(pathA: String, pathB: String)
}

extension JournalFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .system(let error): error.description
    case .damaged(let defect, let pathA, let pathB): "\(defect), in \(pathA) and \(pathB)"
    case .uncovered(let sequence, let pathA, let pathB):
      "sequence \(sequence) is held by no segment and no valid snapshot in \(pathA) and \(pathB)"
    case .snapshotsDiverged(let sequence, let pathA, let pathB):
      "two valid snapshots through \(sequence) differ: \(pathA) and \(pathB)"
    case .missing(let pathA, let pathB): "there is no journal in \(pathA) and \(pathB)"
    }
  }
}

/// Runs system calls where a journal's failure is expected.
func system<Value>(_ body: () throws(SystemCallError) -> Value) throws(JournalFailure) -> Value {
  do {
    return try body()
  } catch {
    throw .system(error)
  }
}
