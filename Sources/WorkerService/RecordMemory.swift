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
  /// A shard's blocks folded into the backbone, with the head on top.
  package typealias Member = EnsembleMember

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
    /// Where members work; nobody's while a question is answered.
    var workplace: ForwardMemory?
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
      // What a dropped member has computed is still there.
      state.workplace = nil
    }
  }

  /// Drops everything, when the session is over.
  package func forgetAll() {
    state.withLock { state in
      state.purgeCount += 1
      state.segments.removeAll()
      (state.members, state.workplace) = ([:], nil)
    }
  }

  package func segment(_ key: SegmentKey, for use: Use) -> TrainingSegment? {
    state.withLock { $0.segments.find(key, at: use.number) }
  }

  /// The slice as it enters the highest layer at which it is known, up to the key's.
  package func nearestSegment(notAbove key: SegmentKey) -> TrainingSegment? {
    state.withLock { $0.segments.nearest(notAbove: key) }
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

  /// Memory to work in, of an earlier question if there is any; to be put back.
  package func takeWorkplace(_ encoder: Encoder) -> ForwardMemory {
    state.withLock { state in
      defer { state.workplace = nil }
      return state.workplace
    } ?? ForwardMemory(encoder)
  }

  package func putBack(_ workplace: ForwardMemory, for use: Use) {
    state.withLock { if $0.admits(use) { $0.workplace = workplace } }
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
