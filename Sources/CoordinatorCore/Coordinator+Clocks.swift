import Hashing
import Unlearning

// What may be read under a lease, and how long a lease may stand.

extension Coordinator {
  /// Ends leases whose workers say that they live and get nowhere.
  mutating func endStandingLeases(in step: inout Step) {
    for lease in leases.all {
      guard let reason = standsStill(lease) else { continue }
      cancel(lease, in: &step)
      leaseTroubles.stalled += 1
      settle(Failure(kind: .retryable, reason: reason), of: lease, in: &step)
    }
  }

  /// Why a lease has stood for too long; `nil` while it has not.
  private func standsStill(_ lease: Lease) -> String? {
    let (stage, progress) = (lease.slot.stage, lease.progress)
    let age = now.monotonic - lease.grantedAt
    // Most have come further a moment ago, and are looked at no closer.
    guard age > StagePace.leastStepPatience else { return nil }
    // Fetching and the frozen layers come before the first step, and the upload after the last.
    let isTraining = progress.step > 0 && progress.step < progress.totalSteps
    let patience =
      isTraining
      ? pace.stepPatience(stage: stage)
      : pace.startPatience(stage: stage, recordCount: recordCount(readBy: lease.slot))
    let standing = now.monotonic - lease.progressedAt
    if standing > patience {
      return "no step for \(standing / 1000) s, after step \(progress.step) of "
        + "\(progress.totalSteps)"
    }
    guard let limit = pace.leasePatience(stage: stage), age > limit else { return nil }
    return "not done after \(age / 1000) s"
  }

  private func recordCount(readBy slot: BlockSlot) -> Int {
    state.plan.slicesRead(by: slot).reduce(0) { $0 + state.slices[slot.shard][$1].recordCount }
  }

  /// Whether a worker may read a slice: under a live lease that reads exactly this one.
  package func mayRead(_ reference: SliceReference, _ id: WorkerID) -> Bool {
    guard let lease = leases.lease(of: id), reference.location.shard == lease.slot.shard,
      state.plan.slicesRead(by: lease.slot).contains(reference.location.slice)
    else { return false }
    return state.slices[lease.slot.shard][reference.location.slice].digest == reference.digest
  }

  /// Whether a worker may read an artifact as a part of what its lease goes on from.
  package func mayRead(artifact: Digest, _ id: WorkerID) -> Bool {
    guard let lease = leases.lease(of: id) else { return false }
    return state.assignment(for: lease.slot)?.ancestors.contains(artifact) ?? false
  }
}
