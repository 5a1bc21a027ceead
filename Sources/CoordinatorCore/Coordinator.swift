import Hashing
import Ledger
import Unlearning

/// The whole coordinator as a value: durable state, leases and workers.
///
/// It decides and never acts. The shell hands it one event at a time with the time, makes the
/// returned entries durable, and only then carries out the effects. Nothing here reads a clock, a
/// socket or a file, so a simulator can run the very code that runs in production.
package struct Coordinator: Sendable {
  package internal(set) var state: RunState
  /// Its live records; changed by deletions alone, and in step with `state`.
  package internal(set) var records: RecordIndex
  package internal(set) var workers: [WorkerID: WorkerState] = [:]
  package internal(set) var leases = LeaseBook()
  package internal(set) var leaseTroubles = LeaseTroubles()
  /// When training was asked for, as far as this process has seen it.
  var requests = TrainingRequests()
  package internal(set) var failures: [BlockKey: BlockFailures] = [:]
  /// Keys whose leases have ended without results lately.
  package internal(set) var troubles: [PeerIdentity: KeyTroubles] = [:]
  /// Leases that ended as another's result came first; their own still has a say.
  var supplanted: [UInt64: Lease] = [:]
  var election = ClassElection()
  /// Workers that ask for work in another class and may not have heard why they get none.
  var untold: [WorkerID] = []
  /// Stages in the middle whose bytes are kept, with the slot they belong to.
  package internal(set) var checkpoints: [BlockKey: KeptCheckpoint] = [:]
  /// What may be trained now.
  var queue: WorkQueue
  /// Of every shard, unless something has happened to it since.
  var reports: [ShardReport?]
  /// Workers that asked for work and got none, ascending; all of them may train.
  var idle: [WorkerID] = []
  /// Connections of each key that may train.
  var trainersByKey: [PeerIdentity: Int] = [:]
  /// How long the stages took, to know a straggler by.
  package internal(set) var pace = StagePace()
  package internal(set) var allowance: RepairAllowance
  package internal(set) var purge: PurgeProgress?
  /// Exports that a purge has to remove and has not yet, by path.
  package internal(set) var exportRemovals: [String: PlaceProgress] = [:]
  /// Determinism alarms and other things an operator must see; newest last.
  package private(set) var alarms: [String] = []
  package internal(set) var audit = AuditProgress()
  /// Set when a worker has been shown, under this run's own tag, a ledger that this one does not
  /// extend: nothing is served then.
  package private(set) var isBehind = false
  /// Open deletions whose repair is recorded, and whether it still holds.
  private var repairs: [UInt64: RepairStanding] = [:]
  private let auditShare: Double
  /// What an earlier process kept, until it is known which keys are wanted.
  var foundCheckpoints: [BlockKey: StageCheckpoint]
  package internal(set) var now = Moment(monotonic: 0, wall: 0)
  var lastLeaseNumber: UInt32 = 0

  package static let leaseDuration: Milliseconds = 15_000

  /// Takes over a run from its replayed state.
  ///
  /// - Parameters:
  ///   - records: Made from this very state.
  ///   - auditShare: How many of the blocks committed from now on are trained a second time when a
  ///     worker has nothing else to do.
  ///   - checkpoints: Stages in the middle that an earlier process left; those of keys that are no
  ///     longer wanted are discarded in the first step.
  package init(
    _ state: RunState, records: RecordIndex, auditShare: Double = 0,
    checkpoints: [BlockKey: StageCheckpoint] = [:]
  ) {
    self.state = state
    self.records = records
    self.auditShare = auditShare
    self.state.refreshKeys()
    queue = WorkQueue(shardCount: state.plan.shardCount)
    allowance = RepairAllowance(slicesPerHour: state.run.repairBudget)
    reports = Array(repeating: nil, count: state.plan.shardCount)
    foundCheckpoints = checkpoints
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
    touchShards(changedBy: entry)
    if case .committed(let block) = entry { purge?.named.insert(block.artifact) }
    step.entries.append(entry)
    state.apply(entry)
  }

  /// Has the schedule look again at every shard whose slots an entry decides about.
  private mutating func touchShards(changedBy entry: JournalEntry) {
    switch entry {
    case .committed(let block):
      for slot in state.plan.slots(sharing: block.slot) { queue.touchBlock(at: slot) }
      // What was trained on other bytes than now stand goes with them.
      if state.disputes[block.key] != nil { queue.touchBlocks(ofShard: block.slot.shard) }
    case .deleted(let deletion):
      for slice in deletion.slices { queue.touchBlocks(ofShard: slice.location.shard) }
    case .quarantined(let key, _), .artifactLost(let key, _), .disputed(let key, _, _):
      if let block = state.blocks[key] { queue.touchBlocks(ofShard: block.slot.shard) }
    case .numericClassPinned, .trainingRequested, .ingested: queue.touchAll()
    case .created, .started, .purged, .repaired, .certified, .snapshotTaken, .copied, .copyRemoved,
      .restored, .workersCutOff, .noted:
      break
    }
  }

  private mutating func decide(_ event: Event, into step: inout Step) {
    switch event {
    case .started:
      requests.openedAt = now.wall
      record(.started(term: state.term + 1, at: now.wall), in: &step)
      adoptCheckpoints(in: &step)

    case .ticked:
      tick(into: &step)
      tickPurge(into: &step)

    case .trainingRequested:
      // The operator's word also clears the verdict on blocks that failed everywhere.
      failures = [:]
      if !state.isTrainingRequested { requests.openedAt = now.wall }
      requests.latestAt = now.wall
      record(.trainingRequested(at: now.wall), in: &step)

    case .classRequested(let numericClass): pinClass(numericClass, in: &step)

    case .workerJoined(let id, let introduction, let proof): join(id, introduction, proof)

    case .workerLeft(let id): leave(id, into: &step)

    case .workRequested(let id):
      // One lease at a time: a second would overwrite what the worker knows of the first.
      guard leases.lease(of: id) == nil, workers[id]?.isTrainer == true else { return }
      workers[id]?.wantsWork = true
      if canTrain(id) { startWaiting(id) } else { untold.append(id) }

    case .draining(let id):
      workers[id]?.isDraining = true
      stopWaiting(id)

    case .heartbeat(let id, let epoch, let progress):
      guard epoch != 0 else { return step.effects.append(.heard(id, 0)) }
      guard leases[epoch: epoch]?.worker == id else {
        return step.effects.append(.cancel(id, epoch))
      }
      leases.renew(
        epoch, until: now.monotonic + Self.leaseDuration, progress: progress, at: now.monotonic)
      step.effects.append(.heard(id, epoch))

    case .uploaded(let id, let upload):
      decide(upload, from: id, into: &step)

    case .uploadedTooLate(let id, let epoch):
      leaseTroubles.staleCompletions += 1
      step.effects.append(.refused(id, epoch, .staleLease))

    case .failed(let id, let epoch, let failure):
      if supplanted[epoch]?.worker == id { supplanted[epoch] = nil }
      guard let lease = leases[epoch: epoch], lease.worker == id else { return }
      end(lease)
      settle(failure, of: lease, in: &step)

    case .checkpointed(let id, let epoch, let key, let checkpoint):
      keep(checkpoint, of: key, epoch: epoch, from: id, in: &step)

    case .deletionRequested(let token, let wish):
      step.effects.append(.deletionDecided(token, decide(wish, into: &step)))

    case .auditRequested(let share, let seed): beginAudit(share: share, seed: seed)

    case .snapshotWritten(let through, let digest):
      record(.snapshotTaken(through: through, digest: digest), in: &step)

    case .saltErasureRequested(let number):
      if number > 0, number <= UInt64(state.deletions.count), !state.salts.erased.contains(number) {
        record(.noted(.saltErased(deletion: number, at: now.wall)), in: &step)
      }

    case .copied(let copy): record(.copied(copy), in: &step)

    case .copyRemoved(let path):
      if state.copies[path] != nil { record(.copyRemoved(path: path, at: now.wall), in: &step) }

    case .purgeFinished, .purgeReported, .purgeConfirmed, .exportReported:
      notePurge(event, in: &step)
    }
  }

  private mutating func decide(_ upload: Upload, from id: WorkerID, into step: inout Step) {
    // One that left or was cut off while its bytes were being stored: nobody else removes them.
    guard let worker = workers[id] else { return discard(upload.artifact, in: &step) }
    if let block = state.blocks[upload.key] {
      // A second completion is agreement or an alarm, never last-writer-wins.
      return compare(upload, with: block, from: worker, id, in: &step)
    }
    guard let lease = leases[epoch: upload.epoch], lease.key == upload.key, lease.worker == id,
      state.expectedKeys[lease.slot] == upload.key
    else {
      leaseTroubles.staleCompletions += 1
      step.effects.append(.refused(id, upload.epoch, .staleLease))
      discard(upload.artifact, in: &step)
      return
    }
    end(lease)
    noteSuccess(of: worker.identity)
    guard settleDispute(upload, by: worker.identity, id, in: &step) else { return }
    pace.note(
      lease.purpose, stage: lease.slot.stage, took: now.monotonic - lease.grantedAt,
      steps: lease.progress.totalSteps)
    failures[upload.key] = nil
    dropCheckpoint(of: upload.key, in: &step)
    // Whoever else trains it comes too late: the first verified result counts.
    for other in leases.leases(of: upload.key) {
      cancel(other, in: &step)
      supplanted[other.epoch] = other
    }
    if state.numericClass == nil, let tried = state.candidateClass {
      // In front of the block, so that no crash can leave a block without its class.
      record(.numericClassPinned(tried), in: &step)
      election.close()
      adoptCheckpoints(in: &step)
    }
    record(
      .committed(
        CommittedBlock(
          key: upload.key, slot: lease.slot, artifact: upload.artifact,
          byteCount: upload.byteCount, worker: worker.introduction.name, work: upload.work,
          at: now.wall, trainer: worker.identity)), in: &step)
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
      deletionPlan(for: wish.tags).fingerprint != expected
    {
      return .planIsStale
    }
    let number = UInt64(state.deletions.count) + 1
    let outcomes = outcomes(of: wish.tags, number: number) { records[$0] != nil }
    // In the order of the commitments, which says nothing about the order asked.
    let accepted = wish.tags.indices.filter { outcomes[$0] == .accepted(number) }
      .sorted { wish.commitments[$0] < wish.commitments[$1] }
    guard !accepted.isEmpty else { return .decided(outcomes, blocksMasked: 0) }
    let tags = accepted.map { wish.tags[$0] }
    let masked = slotsMasked(byDeleting: tags).map { slot in
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
          slices: records.remove(tags), masked: masked, at: now.wall, due: wish.due,
          requestKey: wish.requestKey,
          requestFingerprint: wish.fingerprint)), in: &step)
    record(.noted(.salts([SaltCheck(deletion: number, salt: wish.salt)])), in: &step)
    if let origin = wish.origin {
      record(.noted(.origin(deletion: number, origin)), in: &step)
    }
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
  func discard(_ artifact: Digest, in step: inout Step) {
    if state.artifactUses[artifact] == nil { step.effects.append(.discard(artifact)) }
  }

  /// Notes what an operator must see; the same again adds nothing.
  mutating func raise(_ alarm: String) {
    if !alarms.contains(alarm) { alarms.append(alarm) }
  }
}

// MARK: - What follows from any change

extension Coordinator {
  /// Brings leases, purge and requests in line with the state, whatever just changed it.
  private mutating func settle(into step: inout Step) {
    electClass(into: &step)
    cancelStaleLeases(into: &step)
    settleExports(into: &step)
    settlePurge(into: &step)
    settleDeletions(into: &step)
    grantLeases(into: &step)
    tellExcluded(in: &step)
  }

  /// Records what deletions have come to.
  ///
  /// Certified means that a fresh run would serve what is served. So a deletion that was repaired
  /// and lost blocks again, to a later one or to an alarm, is repaired anew before it is certified.
  private mutating func settleDeletions(into step: inout Step) {
    var mayMoveAll = false
    var mayMoveSome = false
    for entry in step.entries {
      switch entry {
      case .committed, .purged, .started, .numericClassPinned: mayMoveAll = true
      // Only the newest can have come to something; those repaired before may have lost it.
      case .deleted, .quarantined, .disputed, .artifactLost, .trainingRequested:
        mayMoveSome = true
      case .created, .ingested, .repaired, .certified, .snapshotTaken, .copied, .copyRemoved,
        .restored, .workersCutOff, .noted:
        break
      }
    }
    guard mayMoveAll || mayMoveSome else { return }
    // Many deletions share few slices.
    var served: [SliceLocation: Bool] = [:]
    for number in mayMoveAll ? state.openDeletions : repairedAndNewest {
      let isRepaired =
        !state.isTrainingRequested
        || state.deletion(number).locations.allSatisfy { slice in
          if let known = served[slice] { return known }
          let serves = state.isServed(slice)
          served[slice] = serves
          return serves
        }
      settle(number, isRepaired: isRepaired, into: &step)
    }
  }

  /// Open deletions that count as repaired, and the newest, ascending.
  private var repairedAndNewest: [UInt64] {
    Set(repairs.keys).union(state.openDeletions.suffix(1)).sorted()
  }

  private mutating func settle(_ number: UInt64, isRepaired: Bool, into step: inout Step) {
    let wasRepaired = state.deletion(number).repairedAt != nil
    guard isRepaired else {
      if wasRepaired { repairs[number] = .outdated }
      return
    }
    if !wasRepaired || repairs[number] == .outdated {
      record(.repaired(number: number, at: now.wall), in: &step)
    }
    repairs[number] = .current
    guard state.deletion(number).state == .repaired else { return }
    repairs[number] = nil
    record(
      .certified(
        number: number, erasure: state.erasure(of: state.deletion(number)), at: now.wall),
      in: &step)
  }
}

// MARK: - Workers

extension Coordinator {
  private mutating func join(
    _ id: WorkerID, _ introduction: Introduction, _ proof: PeerProof
  ) {
    var worker = WorkerState(introduction: introduction, identity: proof.identity)
    worker.canTrain = isOfClass(worker)
    workers[id] = worker
    if worker.canTrain { trainersByKey[proof.identity, default: 0] += 1 }
    if let head = proof.head, !state.ledger.extends(head) {
      isBehind = true
      raise(
        "worker \(introduction.name) has seen a ledger of \(head.size) entries that this one, of "
          + "\(state.ledger.leaves.count), does not extend: this run is older than its promises")
    }
  }

  mutating func leave(_ id: WorkerID, into step: inout Step) {
    stopWaiting(id)
    if let lease = leases.lease(of: id) {
      end(lease)
      noteLoss(of: lease, reason: "the worker went away")
    }
    supplanted = supplanted.filter { $0.value.worker != id }
    if let worker = workers.removeValue(forKey: id), worker.canTrain {
      trainersByKey[worker.identity, default: 1] -= 1
      if trainersByKey[worker.identity] == 0 { trainersByKey[worker.identity] = nil }
    }
    purge?.places[.worker(id)] = nil
  }

  /// Puts a worker among those that wait for work.
  mutating func startWaiting(_ id: WorkerID) {
    let place = idle.partitioningIndex { $0 >= id }
    if place == idle.endIndex || idle[place] != id { idle.insert(id, at: place) }
  }

  mutating func setHome(_ shard: Int, of id: WorkerID) { workers[id]?.home = shard }

  mutating func stopWaiting(_ id: WorkerID) {
    workers[id]?.wantsWork = false
    let place = idle.partitioningIndex { $0 >= id }
    if place < idle.endIndex, idle[place] == id { idle.remove(at: place) }
  }

  /// Whether a worker may train at all: its role, and bits comparable with the run's.
  package func canTrain(_ id: WorkerID) -> Bool {
    workers[id].map { $0.canTrain && !$0.isDraining } ?? false
  }
}

extension Array {
  /// The first index for which `belongsAfter` holds, given that it holds for all later ones.
  fileprivate func partitioningIndex(where belongsAfter: (Element) -> Bool) -> Int {
    var (low, high) = (startIndex, endIndex)
    while low < high {
      let middle = (low + high) / 2
      if belongsAfter(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
