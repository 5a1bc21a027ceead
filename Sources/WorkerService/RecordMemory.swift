import Hashing
import ModelFormats
import SystemIO
import Training

/// What a session keeps between leases and questions and that was made from records.
///
/// A purge drops it at once. Whoever works with it has taken it out, or is about to put something
/// in; that work is a *use*, and one that began before a purge puts nothing in after it. When a
/// purge may be confirmed, which waits for such work, is decided in `WorkerMachine`.
package final class RecordMemory: Sendable {
  /// Shards folded into the backbone, with the head on top.
  package struct Member: Sendable {
    package var encoder: AdaptedEncoder
    package var head: ClassifierHead

    package init(encoder: AdaptedEncoder, head: ClassifierHead) {
      self.encoder = encoder
      self.head = head
    }
  }

  package struct SegmentKey: Hashable, Sendable {
    package var slice: Digest
    /// The layer the activations enter: the frozen prefix, shared by all sequences.
    package var layer: Int

    package init(slice: Digest, layer: Int) {
      self.slice = slice
      self.layer = layer
    }
  }

  /// Work on records, from before its first byte is handed over until after its last is gone.
  package struct Use: Sendable {
    fileprivate let purgeCount: UInt64
  }

  fileprivate struct State: Sendable {
    var segments: [SegmentKey: TrainingSegment] = [:]
    /// By the artifacts they consist of.
    var members: [[Digest]: Member] = [:]
    var purgeCount: UInt64 = 0
  }

  private let state = Guarded(State())

  package init() {}

  package func begin() -> Use { state.withLock { Use(purgeCount: $0.purgeCount) } }

  /// Drops everything that could be made from purged records.
  package func forget(artifacts: [Digest]) {
    state.withLock { state in
      state.purgeCount += 1
      // The order does not name slices, so every segment goes.
      state.segments = [:]
      let dropped = Set(artifacts)
      state.members = state.members.filter { dropped.isDisjoint(with: $0.key) }
    }
  }

  /// Drops everything, when the session is over.
  package func forgetAll() {
    state.withLock { state in
      state.purgeCount += 1
      (state.segments, state.members) = ([:], [:])
    }
  }

  package func segment(_ key: SegmentKey) -> TrainingSegment? {
    state.withLock { $0.segments[key] }
  }

  package func keep(_ segment: TrainingSegment, _ key: SegmentKey, for use: Use) {
    state.withLock { if $0.admits(use) { $0.segments[key] = segment } }
  }

  package func member(_ artifacts: [Digest]) -> Member? {
    state.withLock { $0.members[artifacts] }
  }

  package func keep(_ member: Member, _ artifacts: [Digest], for use: Use) {
    state.withLock { if $0.admits(use) { $0.members[artifacts] = member } }
  }

  /// Makes room: once there are more members than `limit`, only the wanted ones stay.
  package func trimMembers(to wanted: Set<[Digest]>, limit: Int) {
    state.withLock { state in
      if state.members.count > limit {
        state.members = state.members.filter { wanted.contains($0.key) }
      }
    }
  }
}

extension RecordMemory.State {
  fileprivate func admits(_ use: RecordMemory.Use) -> Bool { use.purgeCount == purgeCount }
}
