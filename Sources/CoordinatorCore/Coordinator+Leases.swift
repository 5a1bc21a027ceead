import Unlearning

// Who trains what: every choice is a function of the state, so it can be replayed.

extension Coordinator {
  /// What time alone brings about: leases run out, stragglers get company.
  mutating func tick(into step: inout Step) {
    for lease in leases.all where lease.until <= now.monotonic {
      cancel(lease, in: &step)
      leaseTroubles.expired += 1
      noteLoss(of: lease, reason: "the lease ran out")
    }
    endStandingLeases(in: &step)
    endLongTrials(in: &step)
    speculate(into: &step)
  }

  /// Ends a lease whose worker knows that it has ended.
  mutating func end(_ lease: Lease) {
    leases.remove(lease)
    queue.touch(lease.slot.shard)
  }

  /// Ends a lease and tells its worker.
  mutating func cancel(_ lease: Lease, in step: inout Step) {
    end(lease)
    step.effects.append(.cancel(lease.worker, lease.epoch))
  }

  /// Ends every lease whose records are no longer the retained ones; a late result finds none.
  mutating func cancelStaleLeases(into step: inout Step) {
    var shards: Set<Int> = []
    var isWithdrawn = false
    for entry in step.entries {
      switch entry {
      case .deleted(let deletion):
        shards.formUnion(state.deletion(deletion.number).locations.map(\.shard))
      case .numericClassPinned: shards.formUnion(0..<state.plan.shardCount)
      case .quarantined, .disputed: isWithdrawn = true
      default: break
      }
    }
    if isWithdrawn {
      // What goes on from a block that was taken out of service cannot be fetched any more, and
      // its result would stand on bytes that are in doubt.
      for lease in leases.all where state.assignment(for: lease.slot) == nil {
        cancel(lease, in: &step)
      }
    }
    guard !shards.isEmpty else { return }
    for shard in shards.sorted() {
      for lease in leases.leases(ofShard: shard) where state.expectedKeys[lease.slot] != lease.key {
        cancel(lease, in: &step)
      }
    }
    dropStaleCheckpoints(in: &step)
  }

  // MARK: - Granting

  mutating func grantLeases(into step: inout Step) {
    guard !idle.isEmpty, !isBehind else { return }
    refreshQueue()
    for id in idle {
      guard !queue.isEmpty else { break }
      guard let worker = workers[id], !isResting(worker.identity) else { continue }
      if let slot = chooseSlot(for: worker), let assignment = state.assignment(for: slot) {
        grant(assignment, to: id, .training, into: &step)
        refreshQueue()
      }
    }
    guard !audit.waiting.isEmpty else { return }
    for id in idle {
      if let assignment = nextAudit(for: id) { grant(assignment, to: id, .audit, into: &step) }
    }
  }

  private mutating func refreshQueue() {
    // The queue is taken out while the rest of `self` is looked at, so that neither is copied.
    var queue = WorkQueue(shardCount: 0)
    swap(&queue, &self.queue)
    defer { swap(&queue, &self.queue) }
    queue.refresh(at: now.monotonic) { outlook(ofShard: $0, depths: $1) }
  }

  private mutating func chooseSlot(for worker: WorkerState) -> BlockSlot? {
    var queue = WorkQueue(shardCount: 0)
    swap(&queue, &self.queue)
    defer { swap(&queue, &self.queue) }
    // What an earlier look found ready may be more than the allowance has left by now.
    let isClosed = allowance.closedUntil(at: now.monotonic) != nil
    var refused: Set<Int> = []
    defer { for shard in refused { queue.touch(shard) } }
    return queue.choose(home: worker.home) { slot in
      guard !isClosed || !isRationed(slot) else {
        refused.insert(slot.shard)
        return false
      }
      return isFit(slot, for: worker.identity)
    }
  }

  private mutating func grant(
    _ assignment: BlockAssignment, to id: WorkerID, _ purpose: Lease.Purpose,
    into step: inout Step
  ) {
    lastLeaseNumber += 1
    let lease = Lease(
      slot: assignment.slot, key: assignment.key, worker: id, purpose: purpose,
      epoch: UInt64(state.term) << 32 | UInt64(lastLeaseNumber), grantedAt: now.monotonic,
      until: now.monotonic + Self.leaseDuration, progressedAt: now.monotonic)
    leases.insert(lease)
    queue.touch(lease.slot.shard)
    if purpose == .training, isRationed(lease.slot) {
      allowance.charge(slices: state.plan.slicesRead(by: lease.slot).count, at: now.monotonic)
    }
    stopWaiting(id)
    setHome(lease.slot.shard, of: id)
    // A second opinion that starts from the first one's checkpoint would be none.
    let isFirst = purpose == .training && !state.isDisputed(lease.key)
    let checkpoint = isFirst ? checkpoints[lease.key]?.checkpoint : nil
    step.effects.append(
      .grant(
        id, LeaseGrant(epoch: lease.epoch, assignment: assignment, checkpoint: checkpoint)))
  }

  /// Gives blocks that take far longer than their like to a second worker, if some have nothing to
  /// do and the budget allows it.
  private mutating func speculate(into step: inout Step) {
    guard !idle.isEmpty, !isBehind else { return }
    refreshQueue()
    guard queue.isEmpty else { return }
    let stragglers = leases.all.filter { lease in
      lease.purpose == .training && leases.leases(of: lease.key).count == 1
        && pace.patience(stage: lease.slot.stage).map { now.monotonic - lease.grantedAt > $0 }
          ?? false
    }
    for lease in stragglers {
      let identity = workers[lease.worker]?.identity
      // A second opinion comes with it where it is another key's.
      let helper = idle.first { workers[$0]?.identity != identity } ?? idle.first
      guard let helper, let assignment = state.assignment(for: lease.slot),
        pace.affordsSpeculation(stage: lease.slot.stage)
      else { return }
      grant(assignment, to: helper, .speculation, into: &step)
    }
  }

  // MARK: - Waiting

  /// The slots of a shard that could be trained now, and when more may come due.
  ///
  /// In each sequence only the first missing block can be trained: the others lack an ancestor.
  ///
  /// - Parameter depths: Of the sequences, where they have not changed since the last look.
  private func outlook(ofShard shard: Int, depths: [Int?]) -> WorkQueue.Outlook {
    var outlook = WorkQueue.Outlook()
    outlook.depths =
      depths.isEmpty ? Array(repeating: nil, count: state.plan.sequences.count) : depths
    outlook.leases = leases.count(ofShard: shard)
    var seen: Set<BlockKey> = []
    for sequence in state.plan.sequences.indices {
      let depth = outlook.depths[sequence] ?? state.depth(shard: shard, sequence: sequence)
      outlook.depths[sequence] = depth
      outlook.depth = max(outlook.depth, depth)
      guard depth < state.plan.sliceCount else { continue }
      let slot = BlockSlot(shard: shard, sequence: sequence, stage: depth + 1)
      guard let key = state.expectedKeys[slot], seen.insert(key).inserted else { continue }
      guard let reason = standstill(of: slot) else {
        outlook.ready.append(slot)
        continue
      }
      let dueAt: Milliseconds? =
        switch reason {
        case .backoff: failures[key]?.notBefore
        case .repairPolicy: repairDueAt(slot)
        case .repairBudget: allowance.closedUntil(at: now.monotonic)
        default: nil
        }
      if let dueAt { outlook.wakeAt = min(outlook.wakeAt ?? .max, dueAt) }
    }
    // Within a shard urgency goes by stage, then sequence.
    outlook.ready.sort { ($0.stage, $0.sequence) < ($1.stage, $1.sequence) }
    return outlook
  }

  /// Why an untrained slot is not being trained; `nil` if a worker is about to take it.
  package func waitingReason(of slot: BlockSlot) -> WaitingReason? {
    if let reason = standstill(of: slot) { return reason }
    if let reason = reasonForAll { return reason }
    if !trainersByKey.keys.contains(where: { isFit(slot, for: $0) }) {
      let key = state.expectedKeys[slot]
      if let key, state.isDisputed(key) {
        return .otherHostNeeded("keys disagree about its bits, and another key has to decide")
      }
      let reason = key.flatMap { failures[$0]?.reasons.last }
      return .otherHostNeeded(reason ?? "")
    }
    return nil
  }

  /// Why nothing can be trained at all.
  var reasonForAll: WaitingReason? {
    guard trainersByKey.isEmpty else { return nil }
    return workers.isEmpty ? .noWorkers : .noMatchingNumericClass
  }

  /// What keeps a slot from being trained, whoever the workers are.
  func standstill(of slot: BlockSlot) -> WaitingReason? {
    guard let key = state.expectedKeys[slot] else { return .noWorkers }
    if leases[key] != nil { return .training }
    if state.quarantinedKeys.contains(key) { return .quarantined }
    if let failures = failures[key] {
      if failures.isPoisoned { return .poisoned(failures.reasons.last ?? "") }
      if failures.notBefore > now.monotonic { return .backoff }
    }
    if !state.isTrainingRequested { return .paused }
    if let parent = slot.parent, state.block(at: parent) == nil { return .parentMissing }
    if let maskedAt = state.maskedSince[slot], !repairIsDue(maskedAt, slot) {
      return .repairPolicy
    }
    if isRationed(slot), allowance.closedUntil(at: now.monotonic) != nil { return .repairBudget }
    return nil
  }

  /// Whether training a slot is a repair that nobody asked for: those count against the allowance.
  private func isRationed(_ slot: BlockSlot) -> Bool {
    state.maskedSince[slot] != nil && !state.repairsRequested.contains(slot)
  }

  private func repairIsDue(_ maskedAt: Milliseconds, _ slot: BlockSlot) -> Bool {
    if state.repairsRequested.contains(slot) { return true }
    switch state.run.repairPolicy {
    case .eager: return true
    case .manual: return false
    case .depthBelow(let depth):
      return state.servedPrefix(shard: slot.shard)?.depth ?? 0 < depth
    case .batched(let quiet, let maximumAge):
      let latest = state.deletions.last?.acceptedAt ?? 0
      // The distance: a clock that was set back far must not put repairs off for as long.
      return (now.wall - latest).magnitude >= quiet || (now.wall - maskedAt).magnitude >= maximumAge
    }
  }

  /// Longest that a batched repair sleeps: the wall clock it is due by may be set meanwhile.
  private static let longestSleep: Milliseconds = 5_000

  /// When a batched repair is to be looked at again, on the monotonic clock.
  private func repairDueAt(_ slot: BlockSlot) -> Milliseconds? {
    guard case .batched(let quiet, let maximumAge) = state.run.repairPolicy,
      let maskedAt = state.maskedSince[slot]
    else { return nil }
    let due = min((state.deletions.last?.acceptedAt ?? 0) + quiet, maskedAt + maximumAge)
    return now.monotonic + min(max(due - now.wall, 1), Self.longestSleep)
  }
}
