import Hashing
import ModelFormats
import SystemIO
import Training

/// Everything a session keeps that was made from records, and who still works with copies of it.
///
/// A purge may be confirmed only when nothing of the purged records is left here. What is kept goes
/// at once, from whatever thread `forget` is called. What a thread has taken out, or is about to
/// put in, is a *use*; the confirmation waits for the uses that could hold purged records:
///
/// - a question that began before the `forget`, as it may hold an artifact that was dropped;
/// - a lease that was cancelled, until its step has ended;
/// - a lease that has begun its upload: the coordinator may have taken the upload and hold no lease
///   any more, and then a deletion has nothing to cancel.
///
/// **Invariant.** Any other lease holds no purged record, so it goes on. The coordinator cancels
/// every lease whose key is no longer the expected one in the very step that deletes, and speaks on
/// one ordered connection: whoever has read `forget` has read those cancels. A lease that is left
/// has the key of the retained records, the key names the digest of every slice, and records are
/// taken only if they have that digest: not one more, not an older version. An answer with an
/// older version may still be on its way, but only to a lease that was cancelled, and that lease
/// ends only after its answer has come.
///
/// A use that began before a `forget` also puts nothing in after it.
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

  package enum Purpose: Equatable, Sendable {
    case question
    case lease(epoch: UInt64)
  }

  /// Work on records, from before its first byte comes until after its last is gone.
  package struct Use: Sendable {
    fileprivate let number: UInt64
    fileprivate let purgeCount: UInt64
  }

  fileprivate struct State: Sendable {
    var artifacts: [Digest: [UInt8]] = [:]
    var segments: [SegmentKey: TrainingSegment] = [:]
    /// By the artifacts they consist of.
    var members: [[Digest]: Member] = [:]
    var purgeCount: UInt64 = 0
    var lastUse: UInt64 = 0
    var uses: [UInt64: (purpose: Purpose, hasBegunUpload: Bool)] = [:]
    /// Confirmations that are owed, oldest first, with the uses they wait for.
    var owed: [(deletion: UInt64, uses: Set<UInt64>)] = []
  }

  private let state = Guarded(State())

  package init() {}

  // MARK: - Uses

  package func begin(_ purpose: Purpose) -> Use {
    state.withLock { state in
      state.lastUse += 1
      state.uses[state.lastUse] = (purpose, false)
      return Use(number: state.lastUse, purgeCount: state.purgeCount)
    }
  }

  /// From now on a `forget` waits for this lease; to be called before the first byte is sent.
  package func beginUpload(_ use: Use) {
    state.withLock { $0.uses[use.number]?.hasBegunUpload = true }
  }

  /// Ends a use whose records are gone.
  ///
  /// - Returns: deletions whose purge is to be confirmed now, oldest first.
  package func end(_ use: Use) -> [UInt64] {
    state.withLock { state in
      state.uses[use.number] = nil
      for index in state.owed.indices { state.owed[index].uses.remove(use.number) }
      return state.takeDue()
    }
  }

  /// Drops everything that could be made from purged records.
  ///
  /// - Parameters:
  ///   - artifacts: the artifacts that are purged.
  ///   - liveLease: the lease that has not been cancelled, if there is one.
  /// - Returns: deletions whose purge is to be confirmed now, oldest first.
  package func forget(
    throughDeletion number: UInt64, artifacts: [Digest], liveLease: UInt64?
  ) -> [UInt64] {
    state.withLock { state in
      state.purgeCount += 1
      // The order does not name slices, so every segment goes.
      state.segments = [:]
      for digest in artifacts { state.artifacts[digest] = nil }
      let dropped = Set(artifacts)
      state.members = state.members.filter { dropped.isDisjoint(with: $0.key) }
      let uses = state.uses.filter { use in
        switch use.value.purpose {
        case .question: true
        case .lease(let epoch): epoch != liveLease || use.value.hasBegunUpload
        }
      }
      state.owed.append((number, Set(uses.keys)))
      return state.takeDue()
    }
  }

  /// Drops everything, when the session is over.
  package func forgetAll() {
    state.withLock { state in
      state.purgeCount += 1
      (state.artifacts, state.segments, state.members) = ([:], [:], [:])
    }
  }

  // MARK: - What is kept

  package func artifact(_ digest: Digest) -> [UInt8]? {
    state.withLock { $0.artifacts[digest] }
  }

  package func keep(_ artifact: [UInt8], _ digest: Digest, for use: Use) {
    state.withLock { if $0.admits(use) { $0.artifacts[digest] = artifact } }
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

  /// In order: a confirmation stands for all deletions before it.
  fileprivate mutating func takeDue() -> [UInt64] {
    var due: [UInt64] = []
    while let first = owed.first, first.uses.isEmpty {
      due.append(first.deletion)
      owed.removeFirst()
    }
    return due
  }
}
