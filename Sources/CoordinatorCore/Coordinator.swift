import Hashing
import Ledger
import Unlearning

/// The whole coordinator as a value: durable state, leases and workers.
///
/// It decides and never acts. The shell hands it one event at a time with the time, makes the
/// returned entries durable, and only then carries out the effects. Nothing here reads a clock, a
/// socket or a file, so a simulator can run the very code that runs in production.
package struct Coordinator: Sendable {
  package private(set) var state: RunState
  package private(set) var workers: [WorkerID: WorkerState] = [:]
  package internal(set) var leases: [BlockKey: Lease] = [:]
  package private(set) var failures: [BlockKey: BlockFailures] = [:]
  package private(set) var purge: PurgeProgress?
  /// Determinism alarms and other things an operator must see; newest last.
  package private(set) var alarms: [String] = []
  package internal(set) var audit = AuditProgress()
  /// Set when a worker has seen a ledger that this one does not extend: nothing is served then.
  package private(set) var isBehind = false
  private let auditShare: Double
  var now = Moment(monotonic: 0, wall: 0)
  private var lastLeaseNumber: UInt32 = 0

  package static let leaseDuration: Milliseconds = 15_000
  package static let attemptsPerHost = 2
  package static let hostsBeforePoison = 2

  /// Takes over a run from its replayed state.
  ///
  /// - Parameter auditShare: How many of the blocks committed from now on are trained a second time
  ///   when a worker has nothing else to do.
  package init(_ state: RunState, auditShare: Double = 0) {
    self.state = state
    self.auditShare = auditShare
    self.state.refreshKeys()
  }

  /// Decides one event, applies what it decided, and says what the shell owes for it.
  package mutating func handle(_ event: Event, at moment: Moment) -> Step {
    now = moment
    var step = Step()
    decide(event, into: &step)
    state.refreshKeys()
    settle(into: &step)
    return step
  }

  mutating func record(_ entry: JournalEntry, in step: inout Step) {
    step.entries.append(entry)
    state.apply(entry)
  }

  private mutating func decide(_ event: Event, into step: inout Step) {
    switch event {
    case .started:
      record(.started(term: state.term + 1, at: now.wall), in: &step)

    case .ticked: break

    case .trainingRequested:
      // The operator's word also clears the verdict on blocks that failed everywhere.
      failures = [:]
      record(.trainingRequested(at: now.wall), in: &step)

    case .workerJoined(let id, let introduction):
      if introduction.roles.contains(.train), state.numericClass == nil {
        record(.numericClassPinned(introduction.numericClass), in: &step)
      }
      workers[id] = WorkerState(introduction: introduction)
      if let head = introduction.head, !state.ledger.extends(head) {
        isBehind = true
        alarms.append(
          "worker \(introduction.name) has seen a ledger of \(head.size) entries that this one, of "
            + "\(state.ledger.leaves.count), does not extend: this run is older than its promises"
        )
      }

    case .workerLeft(let id):
      workers[id] = nil
      for (key, lease) in leases where lease.worker == id { leases[key] = nil }
      purge?.workersToHear.remove(id)

    case .workRequested(let id):
      // One lease at a time: a second would overwrite what the worker knows of the first.
      if !leases.values.contains(where: { $0.worker == id }) { workers[id]?.wantsWork = true }

    case .heartbeat(let id, let epoch, let progress):
      guard let key = leases.first(where: { $0.value.epoch == epoch })?.key,
        leases[key]?.worker == id
      else {
        step.effects.append(.cancel(id, epoch))
        return
      }
      leases[key]?.until = now.monotonic + Self.leaseDuration
      leases[key]?.progress = progress
      step.effects.append(.heard(id, epoch))

    case .uploaded(let id, let upload):
      decide(upload, from: id, into: &step)

    case .failed(let id, let epoch, let failure):
      guard let (key, lease) = leases.first(where: { $0.value.epoch == epoch }), lease.worker == id
      else { return }
      leases[key] = nil
      note(failure, of: key, by: id)

    case .draining(let id): workers[id]?.wantsWork = false

    case .checkpointed(_, _, let key, _): step.effects.append(.discardCheckpoint(key))

    case .deletionRequested(let token, let wish):
      step.effects.append(.deletionDecided(token, decide(wish, into: &step)))

    case .auditRequested(let share, let seed): beginAudit(share: share, seed: seed)

    case .snapshotWritten(let through, let digest):
      record(.snapshotTaken(through: through, digest: digest), in: &step)

    case .copied(let copy): record(.copied(copy), in: &step)

    case .copyRemoved(let path):
      if state.copies[path] != nil { record(.copyRemoved(path: path, at: now.wall), in: &step) }

    case .purgeFinished(let number):
      if purge?.order.throughDeletion == number { purge?.filesAreClean = true }

    case .purgeConfirmed(let id, let number):
      if purge?.order.throughDeletion == number { purge?.workersToHear.remove(id) }
    }
  }

  private mutating func decide(_ upload: Upload, from id: WorkerID, into step: inout Step) {
    guard let worker = workers[id] else { return }
    if let block = state.blocks[upload.key] {
      // A second completion is agreement or an alarm, never last-writer-wins.
      let isSame = block.artifact == upload.artifact
      noteAudit(of: upload, from: id, isSame: isSame)
      if !isSame {
        alarms.append(
          "block \(upload.key) came out as \(block.artifact) and as \(upload.artifact)")
        record(.quarantined(upload.key, at: now.wall), in: &step)
      }
      step.effects.append(.refused(id, upload.epoch, isSame ? .confirmed : .alreadyCommitted))
      discard(upload.artifact, in: &step)
      return
    }
    guard let lease = leases[upload.key], lease.epoch == upload.epoch, lease.worker == id,
      state.expectedKeys[lease.slot] == upload.key
    else {
      step.effects.append(.refused(id, upload.epoch, .staleLease))
      discard(upload.artifact, in: &step)
      return
    }
    leases[upload.key] = nil
    failures[upload.key] = nil
    record(
      .committed(
        CommittedBlock(
          key: upload.key, slot: lease.slot, artifact: upload.artifact,
          byteCount: upload.byteCount, worker: worker.introduction.name, work: upload.work,
          at: now.wall)), in: &step)
    if Self.isChosen(upload.key, share: auditShare, seed: UInt64(state.term)) {
      audit.waiting.append(upload.key)
    }
    step.effects.append(.accepted(id, upload.epoch))
  }

  private mutating func decide(_ wish: DeletionWish, into step: inout Step) -> DeletionDecision {
    if let key = wish.requestKey, let number = state.requests[key] {
      let first = state.deletion(number)
      guard first.requestFingerprint == wish.fingerprint else { return .keyIsTaken }
      // The same request again gets the same answer, whatever has happened since.
      return .decided(
        outcomes(of: wish.tags, number: number) { state.deletedTags[$0] == number },
        blocksMasked: first.masked.count)
    }
    if let expected = wish.expectedPlan,
      state.deletionPlan(for: wish.tags).fingerprint != expected
    {
      return .planIsStale
    }
    let number = UInt64(state.deletions.count) + 1
    let outcomes = outcomes(of: wish.tags, number: number) { state.records[$0] != nil }
    // In the order of the commitments, which says nothing about the order asked.
    let accepted = wish.tags.indices.filter { outcomes[$0] == .accepted(number) }
      .sorted { wish.commitments[$0] < wish.commitments[$1] }
    guard !accepted.isEmpty else { return .decided(outcomes, blocksMasked: 0) }
    let tags = accepted.map { wish.tags[$0] }
    let masked = state.slotsMasked(byDeleting: tags).map { slot in
      MaskedBlock(
        place: slot.place,
        commitment: BlockCommitment.commitment(
          deletionSalt: wish.salt, key: state.standing[slot]!.digest))
    }
    step.salts.append(DeletionSalt(deletion: number, salt: wish.salt))
    record(
      .deleted(
        AcceptedDeletion(
          number: number, tags: tags, commitments: accepted.map { wish.commitments[$0] },
          masked: masked, at: now.wall, due: wish.due, requestKey: wish.requestKey,
          requestFingerprint: wish.fingerprint)), in: &step)
    return .decided(outcomes, blocksMasked: masked.count)
  }

  /// What becomes of every tag of a request whose accepted records are `isAccepted`.
  private func outcomes(
    of tags: [RecordTag], number: UInt64, isAccepted: (RecordTag) -> Bool
  ) -> [DeletionOutcome] {
    var seen: Set<RecordTag> = []
    return tags.map { tag in
      if isAccepted(tag) {
        return seen.insert(tag).inserted ? .accepted(number) : .duplicate(of: number)
      }
      return state.deletedTags[tag].map { .duplicate(of: $0) } ?? .unknown
    }
  }

  /// Has bytes removed that were stored before anyone could say whether a block wants them.
  private func discard(_ artifact: Digest, in step: inout Step) {
    if state.artifactUses[artifact] == nil { step.effects.append(.discard(artifact)) }
  }

  private mutating func note(_ failure: Failure, of key: BlockKey, by id: WorkerID) {
    let host = workers[id]?.introduction.host ?? "unknown host"
    switch failure.kind {
    case .cancelled: return
    case .retryable, .host, .fatal:
      var failures = self.failures[key] ?? BlockFailures()
      failures.reasons.append("\(host): \(failure.reason)")
      failures.attemptsByHost[host, default: 0] += failure.kind == .host ? Self.attemptsPerHost : 1
      let doublings = min(failures.reasons.count - 1, 6)
      failures.notBefore = now.monotonic + min(1_000 << Milliseconds(doublings), 60_000)
      let spentHosts = failures.attemptsByHost.values.count { $0 >= Self.attemptsPerHost }
      failures.isPoisoned = failure.kind == .fatal || spentHosts >= Self.hostsBeforePoison
      self.failures[key] = failures
    }
  }
}

// MARK: - What follows from any change

extension Coordinator {
  /// Brings leases, purge and requests in line with the state, whatever just changed it.
  private mutating func settle(into step: inout Step) {
    for (key, lease) in leases.sorted(by: { $0.key < $1.key }) {
      if state.expectedKeys[lease.slot] != key {
        // Its records are no longer the retained ones; a late result will find no lease.
        step.effects.append(.cancel(lease.worker, lease.epoch))
        leases[key] = nil
      } else if lease.until <= now.monotonic {
        step.effects.append(.cancel(lease.worker, lease.epoch))
        leases[key] = nil
        note(Failure(kind: .retryable, reason: "lease ran out"), of: key, by: lease.worker)
      }
    }
    settlePurge(into: &step)
    settleDeletions(into: &step)
    grantLeases(into: &step)
  }

  /// Records what deletions have come to. Only a commit or a purge moves old ones on; otherwise
  /// nothing but the step's own deletion can have changed.
  private mutating func settleDeletions(into step: inout Step) {
    let mayMoveAll = step.entries.contains { entry in
      switch entry {
      case .committed, .purged, .started: true
      default: false
      }
    }
    let mayMoveNewest = step.entries.contains { if case .deleted = $0 { true } else { false } }
    guard mayMoveAll || mayMoveNewest else { return }
    for number in mayMoveAll ? state.openDeletions : state.openDeletions.suffix(1) {
      if state.deletion(number).repairedAt == nil, state.isRepaired(state.deletion(number)) {
        record(.repaired(number: number, at: now.wall), in: &step)
      }
      if state.deletion(number).state == .repaired {
        record(
          .certified(
            number: number, erasure: Self.erasure(keepingCopies: state.copies), at: now.wall),
          in: &step)
      }
    }
  }

  /// What a purge has achieved wherever record bytes can be; levels as in `Protocols/receipt.md`.
  private static func erasure(keepingCopies copies: [String: OutsideCopy]) -> [ErasureClaim] {
    var reached = ["slices", "artifacts", "journal", "workers", "exports"].map {
      ErasureClaim(location: $0, level: .unlinked)
    }
    // A backup is not opened to take records out: restoring it replays the deletions instead.
    if copies.values.contains(where: { $0.kind == .backup }) {
      reached.append(ErasureClaim(location: "backups", level: .unreachable))
    }
    return reached
  }

  private mutating func settlePurge(into step: inout Step) {
    if let purge, purge.filesAreClean, purge.workersToHear.isEmpty {
      record(
        .purged(
          throughDeletion: purge.order.throughDeletion, slices: purge.order.slices,
          artifacts: purge.order.artifacts, at: now.wall), in: &step)
      for path in purge.order.exports where state.copies[path] != nil {
        record(.copyRemoved(path: path, at: now.wall), in: &step)
      }
      self.purge = nil
    }
    guard purge == nil, !state.slicesToPurge.isEmpty || !state.artifactsToPurge.isEmpty else {
      return
    }
    let order = PurgeOrder(
      throughDeletion: UInt64(state.deletions.count),
      slices: state.slicesToPurge.sorted(),
      artifacts: state.artifactsToPurge.sorted(),
      exports: state.copies.values.filter { copy in
        copy.kind == .export && copy.artifacts.contains { state.artifactUses[$0] == nil }
      }.map(\.path).sorted())
    purge = PurgeProgress(order: order, workersToHear: Set(workers.keys))
    step.effects.append(.purge(order))
    for id in workers.keys.sorted() {
      step.effects.append(
        .forget(id, throughDeletion: order.throughDeletion, artifacts: order.artifacts))
    }
  }

  private mutating func grantLeases(into step: inout Step) {
    let idle = workers.keys.sorted().filter { canTrain($0) && workers[$0]?.wantsWork == true }
    guard !idle.isEmpty, !isBehind else { return }
    var ready = readySlots()
    for id in idle {
      let host = workers[id]?.introduction.host ?? ""
      let choice = ready.firstIndex { slot in
        let attempts = state.expectedKeys[slot].flatMap { failures[$0]?.attemptsByHost[host] } ?? 0
        return attempts < Self.attemptsPerHost
      }
      let assignment: BlockAssignment?
      if let choice {
        assignment = state.assignment(for: ready[choice])
        ready.remove(at: choice)
      } else {
        assignment = nextAudit(for: id)
      }
      guard let assignment else { continue }
      lastLeaseNumber += 1
      let lease = Lease(
        slot: assignment.slot, worker: id,
        epoch: UInt64(state.term) << 32 | UInt64(lastLeaseNumber),
        until: now.monotonic + Self.leaseDuration)
      leases[assignment.key] = lease
      workers[id]?.wantsWork = false
      step.effects.append(
        .grant(id, LeaseGrant(epoch: lease.epoch, assignment: assignment)))
    }
  }

  /// Whether a worker may train at all: its role, and bits comparable with the run's.
  package func canTrain(_ id: WorkerID) -> Bool {
    guard let introduction = workers[id]?.introduction else { return false }
    return introduction.roles.contains(.train) && introduction.numericClass == state.numericClass
  }

  /// Slots that could be trained this moment, most useful first.
  ///
  /// The shard that serves least comes first, then the lowest stage, as more depends on it.
  private func readySlots() -> [BlockSlot] {
    var seen: Set<BlockKey> = []
    return state.untrainedSlots
      .filter { waitingReason(of: $0) == nil && seen.insert(state.expectedKeys[$0]!).inserted }
      .map { (depth: state.servedPrefix(shard: $0.shard)?.depth ?? 0, slot: $0) }
      .sorted {
        ($0.depth, $0.slot.stage, $0.slot.sequence, $0.slot.shard)
          < ($1.depth, $1.slot.stage, $1.slot.sequence, $1.slot.shard)
      }
      .map(\.slot)
  }

  /// Why an untrained slot is not being trained; `nil` if a worker could take it now.
  package func waitingReason(of slot: BlockSlot) -> WaitingReason? {
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
    if !workers.keys.contains(where: canTrain) {
      return workers.isEmpty ? .noWorkers : .noMatchingNumericClass
    }
    return nil
  }

  private func repairIsDue(_ maskedAt: Milliseconds, _ slot: BlockSlot) -> Bool {
    if let asked = state.repairRequestedAt, asked >= maskedAt { return true }
    switch state.run.repairPolicy {
    case .eager: return true
    case .manual: return false
    case .depthBelow(let depth):
      return state.servedPrefix(shard: slot.shard)?.depth ?? 0 < depth
    case .batched(let quiet, let maximumAge):
      let latest = state.deletions.last?.acceptedAt ?? 0
      return now.wall - latest >= quiet || now.wall - maskedAt >= maximumAge
    }
  }
}
