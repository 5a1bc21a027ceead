import Unlearning

/// The leases that are out, found by epoch, key, worker or shard without looking at the others.
///
/// Invariants: a worker holds at most one lease; a key has at most one lease that is not a
/// speculation, and at most one that is.
package struct LeaseBook: Sendable {
  private var byEpoch: [UInt64: Lease] = [:]
  private var epochsByKey: [BlockKey: [UInt64]] = [:]
  private var epochByWorker: [WorkerID: UInt64] = [:]
  private var epochsByShard: [Int: Set<UInt64>] = [:]

  package var count: Int { byEpoch.count }
  package var isEmpty: Bool { byEpoch.isEmpty }

  /// Every lease, oldest first.
  package var all: [Lease] { byEpoch.values.sorted { $0.epoch < $1.epoch } }

  package subscript(epoch epoch: UInt64) -> Lease? { byEpoch[epoch] }

  /// The first lease granted for a key.
  package subscript(key: BlockKey) -> Lease? { epochsByKey[key]?.first.flatMap { byEpoch[$0] } }

  /// Every lease of a key, oldest first.
  package func leases(of key: BlockKey) -> [Lease] {
    (epochsByKey[key] ?? []).compactMap { byEpoch[$0] }
  }

  /// The lease a worker holds.
  package func lease(of worker: WorkerID) -> Lease? {
    epochByWorker[worker].flatMap { byEpoch[$0] }
  }

  /// The leases of a shard's blocks, oldest first.
  package func leases(ofShard shard: Int) -> [Lease] {
    (epochsByShard[shard] ?? []).sorted().compactMap { byEpoch[$0] }
  }

  package func count(ofShard shard: Int) -> Int { epochsByShard[shard]?.count ?? 0 }

  mutating func insert(_ lease: Lease) {
    byEpoch[lease.epoch] = lease
    epochsByKey[lease.key, default: []].append(lease.epoch)
    epochByWorker[lease.worker] = lease.epoch
    epochsByShard[lease.slot.shard, default: []].insert(lease.epoch)
  }

  mutating func remove(_ lease: Lease) {
    byEpoch[lease.epoch] = nil
    epochsByKey[lease.key]?.removeAll { $0 == lease.epoch }
    if epochsByKey[lease.key]?.isEmpty == true { epochsByKey[lease.key] = nil }
    if epochByWorker[lease.worker] == lease.epoch { epochByWorker[lease.worker] = nil }
    epochsByShard[lease.slot.shard]?.remove(lease.epoch)
    if epochsByShard[lease.slot.shard]?.isEmpty == true { epochsByShard[lease.slot.shard] = nil }
  }

  mutating func renew(
    _ epoch: UInt64, until: Milliseconds, progress: StageProgress, at now: Milliseconds
  ) {
    guard var lease = byEpoch[epoch] else { return }
    lease.until = until
    // Only a further step of the same count is one: a number that jumps about moves no clock.
    let isSameCount =
      lease.progress.totalSteps == 0 || lease.progress.totalSteps == progress.totalSteps
    if isSameCount, progress.step > lease.progress.step, progress.step <= progress.totalSteps {
      lease.progress = progress
      lease.progressedAt = now
    }
    byEpoch[epoch] = lease
  }
}

/// What became of leases since this process began, but for those that ended well.
package struct LeaseTroubles: Equatable, Sendable {
  /// Leases that nobody renewed in time.
  package internal(set) var expired = 0
  /// Leases that were renewed and got nowhere.
  package internal(set) var stalled = 0
  /// Results that came for a lease that had ended.
  package internal(set) var staleCompletions = 0
}

/// The right to train a block until a moment, with the number that fences off older attempts.
package struct Lease: Equatable, Sendable {
  package enum Purpose: Equatable, Sendable {
    case training
    /// A second worker on a block whose first takes far longer than its like.
    case speculation
    /// A standing block once more, to compare bits.
    case audit
  }

  package let slot: BlockSlot
  package let key: BlockKey
  package let worker: WorkerID
  package let purpose: Purpose
  /// Term of the coordinator process and a count; never used twice.
  package let epoch: UInt64
  package let grantedAt: Milliseconds
  package var until: Milliseconds
  package var progress = StageProgress(step: 0, totalSteps: 0)
  /// When the last further step was told, or the lease was granted.
  package var progressedAt: Milliseconds
}
