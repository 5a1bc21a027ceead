import Hashing
import Storage
import SystemIO

/// Artifacts that are being stored while nobody has decided yet whether a block wants them.
///
/// Storing waits for disks, so it happens on other threads than deciding. The same bytes may come
/// twice, or just when a purge removes them: whoever removes asks here first, and the two cannot
/// pass each other.
final class ArtifactIntake: Sendable {
  private let arriving = Guarded<[Digest: Int]>([:])
  /// Held while an artifact's file is made or removed; several, so that few wait for each other.
  private let turns = (0..<16).map { _ in Guarded(()) }

  /// Stores bytes; they count as arriving until `decided`, also where this throws.
  func store(_ bytes: [UInt8], as digest: Digest, in store: ArtifactStore) throws {
    arriving.withLock { $0[digest, default: 0] += 1 }
    try turn(digest).withLock { _ in try store.put(bytes, as: digest) }
  }

  /// Their event is handled in this turn of the loop, or never will be.
  func decided(_ digest: Digest) {
    arriving.withLock { arriving in
      let count = arriving[digest, default: 1] - 1
      arriving[digest] = count == 0 ? nil : count
    }
  }

  func isArriving(_ digest: Digest) -> Bool { arriving.withLock { $0[digest] != nil } }

  /// Removes a file; `false` if its bytes are arriving, so that whoever decides on them removes it.
  func removeUnlessArriving(_ digest: Digest, from store: ArtifactStore) throws -> Bool {
    try turn(digest).withLock { _ in
      guard !isArriving(digest) else { return false }
      try store.remove(digest)
      return true
    }
  }

  private func turn(_ digest: Digest) -> Guarded<()> {
    turns[Int(digest.bytes[0]) % turns.count]
  }
}
