import Hashing
import ModelFormats
import SystemIO
import Training
import WorkerCore

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

  package typealias SegmentKey = SliceCache<TrainingSegment>.Key

  /// Work on records, from before its first byte is handed over until after its last is gone.
  package struct Use: Sendable {
    fileprivate let number: UInt64
    fileprivate let purgeCount: UInt64
  }

  fileprivate struct State: Sendable {
    var segments: SliceCache<TrainingSegment>
    /// By the artifacts they consist of.
    var members: [[Digest]: Member] = [:]
    var useCount: UInt64 = 0
    var purgeCount: UInt64 = 0
  }

  /// What is kept between leases if nobody says otherwise; the same for every run and machine.
  package static let segmentByteLimit = 1 << 30

  private let state: Guarded<State>

  /// - Parameter segmentByteLimit: limits the segments; members have a limit of their own.
  package init(segmentByteLimit: Int = segmentByteLimit) {
    state = Guarded(State(segments: SliceCache(byteLimit: segmentByteLimit)))
  }

  package func begin() -> Use {
    state.withLock { state in
      state.useCount += 1
      return Use(number: state.useCount, purgeCount: state.purgeCount)
    }
  }

  /// Drops everything that could be made from purged records.
  package func forget(artifacts: [Digest]) {
    state.withLock { state in
      state.purgeCount += 1
      // The order does not name slices, so every segment goes.
      state.segments.removeAll()
      let dropped = Set(artifacts)
      state.members = state.members.filter { dropped.isDisjoint(with: $0.key) }
    }
  }

  /// Drops everything, when the session is over.
  package func forgetAll() {
    state.withLock { state in
      state.purgeCount += 1
      state.segments.removeAll()
      state.members = [:]
    }
  }

  package func segment(_ key: SegmentKey, for use: Use) -> TrainingSegment? {
    state.withLock { $0.segments.find(key, at: use.number) }
  }

  /// The slice as it enters the highest layer below the key's at which it is known.
  package func nearestSegment(below key: SegmentKey) -> TrainingSegment? {
    state.withLock { $0.segments.nearest(below: key) }
  }

  /// Keeps a segment as long as there is room; the caller's copy is the caller's.
  package func keep(_ segment: TrainingSegment, _ key: SegmentKey, for use: Use) {
    state.withLock { state in
      guard state.admits(use) else { return }
      state.segments.insert(segment, byteCount: segment.byteCount, key, at: use.number)
    }
  }

  package var segmentByteLimit: Int { state.withLock { $0.segments.byteLimit } }
  package var segmentFigures: CacheFigures { state.withLock { $0.segments.figures } }

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

extension CacheFigures {
  /// For the log.
  var text: String {
    "found \(hits), computed \(misses), made room for others \(evictions), bytes held \(byteCount)"
  }
}

extension RecordMemory.State {
  fileprivate func admits(_ use: RecordMemory.Use) -> Bool { use.purgeCount == purgeCount }
}
