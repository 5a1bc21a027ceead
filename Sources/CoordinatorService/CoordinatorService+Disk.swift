import ServiceSupport
import SystemIO

/// Whether what workers hand in can be stored; the last word counts.
final class StoringHealth: Sendable {
  private let failure = Guarded<SystemCallError?>(nil)

  func failed(_ error: SystemCallError) { failure.withLock { $0 = error } }

  func succeeded() { failure.withLock { $0 = nil } }

  /// The kernel's reason, without a path.
  var problem: String? { failure.withLock { $0?.reason } }

  var isDiskFull: Bool { failure.withLock { $0?.isDiskFull == true } }
}

extension CoordinatorService {
  /// Below this nothing can be stored for long: the journal grows by as much at a time.
  private static let leastFreeByteCount: UInt64 = 1 << 20

  static let reserveProblem = "the disk is full: the journal lives on its reserve"

  /// What is wrong with the disks, without a path, as everybody may ask. Not for the loop's thread:
  /// a disk can take long to answer.
  func diskProblem() -> String? {
    let folders = [
      ("the run's directory", directory.path), ("the journal's copy A", directory.journalFolders.0),
      ("the journal's copy B", directory.journalFolders.1),
    ]
    for (name, path) in folders {
      guard let free = try? FileSystem.freeByteCount(path), free < Self.leastFreeByteCount else {
        continue
      }
      return "the disk under \(name) has \(free) bytes left"
    }
    return storing.problem.map { "trained blocks cannot be stored: \($0)" }
  }

  /// Asks whether there is room again, where something could not be stored for want of it.
  func lookForRoom() {
    loop.replenish { [log] in log.write(.housekeepingFailed, nil, [.error: Log.Value($0)]) }
    guard storing.isDiskFull, let free = try? FileSystem.freeByteCount(directory.path),
      free >= 2 * Self.leastFreeByteCount
    else { return }
    storing.succeeded()
  }
}
