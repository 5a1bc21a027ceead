import Hashing
import ServiceSupport
import Storage
import SystemIO

/// Artifacts that are being stored while nobody has decided yet whether a block wants them.
///
/// One thread stores: whatever has come by the time it is free becomes durable together, so that
/// hundreds of workers cost hardly more disk time than one. The same bytes may come twice, or just
/// when a purge removes them: whoever removes asks here first, and the two cannot pass each other.
final class ArtifactIntake: Sendable {
  private struct Arrival: Sendable {
    let digest: Digest
    let bytes: [UInt8]
    let then: @Sendable (SystemCallError?) -> Void
  }

  private let store: ArtifactStore
  private let waiting = Mailbox<Arrival>(limit: .max)
  private let arriving = Guarded<[Digest: Int]>([:])
  /// Held while an artifact's file is removed; several, so that few wait for each other.
  private let turns = (0..<16).map { _ in Guarded(()) }

  /// From so many on, storing together is cheaper whatever else the disk has to do.
  private static let groupCount = 4

  init(_ store: ArtifactStore, log: Log) {
    self.store = store
    BackgroundThread.start("artifacts") { [self] in
      while true { take(waiting.takeAll(), log) }
    }
  }

  /// Stores bytes and says when they are durable, or why not, on a thread of this.
  ///
  /// They count as arriving until `decided`, also where storing fails.
  func store(
    _ bytes: [UInt8], as digest: Digest, then: @escaping @Sendable (SystemCallError?) -> Void
  ) {
    arriving.withLock { $0[digest, default: 0] += 1 }
    waiting.put(Arrival(digest: digest, bytes: bytes, then: then))
  }

  private func take(_ group: [Arrival], _ log: Log) {
    // Whoever began to remove one of them did not know yet that it arrives: let that end first.
    for arrival in group { turn(arrival.digest).withLock { _ in } }
    guard group.count >= Self.groupCount else { return takeOneByOne(group) }
    do throws(SystemCallError) {
      try store.put(together: group.map { ($0.digest, $0.bytes) })
    } catch {
      // One that has no room, or a disk that failed for somebody else, must not refuse all.
      log.write(
        .groupNotStored, nil, [.blocks: Log.Value(group.count), .error: Log.Value(error)])
      return takeOneByOne(group)
    }
    for arrival in group { arrival.then(nil) }
  }

  private func takeOneByOne(_ group: [Arrival]) {
    for arrival in group {
      do throws(SystemCallError) {
        try store.put(arrival.bytes, as: arrival.digest)
        arrival.then(nil)
      } catch {
        arrival.then(error)
      }
    }
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
  func removeUnlessArriving(_ digest: Digest) throws -> Bool {
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
