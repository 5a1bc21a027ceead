import CoordinatorAPI
import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning

extension CoordinatorService {
  /// Asks the coordinator as it is now, in the loop: a copy taken out of it would have to be made
  /// whole at the next change.
  func ask<Answer: Sendable>(
    _ question: @escaping @Sendable (Coordinator) throws -> Answer
  ) throws -> Answer {
    try loop.inspect { coordinator in Result { try question(coordinator) } }.get()
  }

  /// Asks it as it is now, or as it was right after an earlier journal entry.
  private func ask<Answer: Sendable>(
    at sequence: UInt64?, _ question: @escaping @Sendable (Coordinator) throws -> Answer
  ) throws -> Answer {
    guard let sequence else { return try ask(question) }
    return try question(try coordinator(at: sequence))
  }

  /// The coordinator right after an earlier journal entry, but for its records, which are today's.
  ///
  /// State is what applying entries gives, so the past is one replay away.
  private func coordinator(at sequence: UInt64) throws -> Coordinator {
    let newest = loop.view { $0.sequence }
    guard sequence <= newest else {
      throw APIFailure(404, "the journal ends at \(newest)", try: "give a smaller sequence")
    }
    let contents = try Journal.read(directory.journalFolders)
    let first = contents.firstSequence
    guard sequence + 1 >= first else {
      throw APIFailure(
        410, "entries before \(first) are gone: they described records deleted since",
        try: "ask about \(first - 1) or later")
    }
    let state = try RunState(
      replaying: contents.snapshot?.bytes,
      Array(contents.payloads.prefix(Int(sequence + 1 - first))))
    return Coordinator(state, records: loop.inspect { $0.records })
  }

  func recordLineage(id text: String, at sequence: UInt64?) throws -> RecordLineage {
    guard let id = try? RecordID(text) else {
      throw APIFailure(400, "the id is empty, too long or holds control characters")
    }
    let tag = directory.tag(id)
    // Whoever was deleted after an earlier moment was live then.
    let (live, isDeleted) = loop.inspect {
      ($0.records[tag]?.location, $0.state.deletedTags[tag] != nil)
    }
    return try ask(at: sequence) { coordinator in
      let state = coordinator.state
      guard live != nil || isDeleted, state.deletedTags[tag] == nil else {
        let isGone = state.deletedTags[tag] != nil || state.importedTombstones.contains(tag)
        let word = isGone ? "deleted" : "unknown"
        return RecordLineage(state: word, shard: nil, slice: nil, blocks: [])
      }
      guard live != nil || state.plan.sliceThresholds == nil else {
        throw APIFailure(
          404, "the record is deleted, and its slice followed from what it declared",
          try: "a receipt or lethe deletions tells what the deletion masked")
      }
      let location =
        live
        ?? Partition(key: state.run.partitionKey, plan: state.plan)
        .location(ofRecordID: id.bytes, deletionProbability: nil)
      return RecordLineage(
        state: "live", shard: location.shard, slice: location.slice,
        blocks: state.plan.slots(dependingOn: location)
          .compactMap { state.block(at: $0)?.key.description })
    }
  }

  func shardLineage(_ text: String, at sequence: UInt64?) throws -> ShardLineage {
    let shard = try Self.shard(text, of: loop.inspect { $0.state.plan.shardCount })
    return try ask(at: sequence) { self.shardLineage(shard, $0) }
  }

  private func shardLineage(_ shard: Int, _ coordinator: Coordinator) -> ShardLineage {
    let state = coordinator.state
    return ShardLineage(
      shard: shard,
      slices: state.slices[shard].enumerated().map {
        ShardLineage.Slice(slice: $0.offset, records: $0.element.recordCount)
      },
      sequences: state.plan.sequences.enumerated().map { sequence, slices in
        ShardLineage.Sequence(
          sequence: sequence, order: slices.order,
          depth: state.depth(shard: shard, sequence: sequence),
          blocks: (1...state.plan.sliceCount).map { stage in
            block(BlockSlot(shard: shard, sequence: sequence, stage: stage), coordinator)
          })
      })
  }

  private func block(_ slot: BlockSlot, _ coordinator: Coordinator) -> ShardLineage.Block {
    let (state, reason) = stateWords(slot, coordinator)
    return ShardLineage.Block(
      key: coordinator.state.expectedKeys[slot]?.description, stage: slot.stage,
      layers: Array(coordinator.state.plan.layerGroups[slot.stage - 1]),
      slices: coordinator.state.plan.slicesRead(by: slot), state: state,
      artifact: coordinator.state.block(at: slot)?.artifact.hex, reason: reason)
  }

  func stateWords(_ slot: BlockSlot, _ coordinator: Coordinator)
    -> (state: String, reason: String?)
  {
    if coordinator.state.block(at: slot) != nil { return ("trained", nil) }
    let reason = coordinator.waitingReason(of: slot)
    if reason == .training { return ("training", nil) }
    let word = coordinator.state.maskedSince[slot] == nil ? "waiting" : "masked"
    return (word, reason?.word ?? "queued")
  }

  /// The slot whose expected key begins with these digits.
  func slot(keyPrefix text: String, _ state: RunState) throws -> BlockSlot {
    try Self.checkKeyPrefix(text)
    let matches = state.expectedKeys.filter { $0.value.description.hasPrefix(text.lowercased()) }
    guard let slot = matches.keys.min() else {
      throw APIFailure(
        404, "no block has this key now",
        try: "lethe lineage shard N lists the keys of now; --at asks about an earlier state")
    }
    guard Set(matches.values).count == 1 else {
      throw APIFailure(422, "several keys begin like this", try: "give more digits")
    }
    return slot
  }

  private static func checkKeyPrefix(_ text: String) throws {
    guard (6...64).contains(text.utf8.count), text.allSatisfy({ $0.isASCII && $0.isHexDigit })
    else {
      throw APIFailure(400, "a block is named by its key or at least its first 6 digits")
    }
  }

  func blockLineage(_ text: String, at sequence: UInt64?) throws -> BlockLineage {
    // A name that can be none is refused before anything is replayed.
    try Self.checkKeyPrefix(text)
    return try ask(at: sequence) { try self.blockLineage(text, $0) }
  }

  private func blockLineage(_ text: String, _ coordinator: Coordinator) throws -> BlockLineage {
    blockLineage(try slot(keyPrefix: text, coordinator.state), coordinator)
  }

  /// - Precondition: the slot has a key.
  func blockLineage(_ slot: BlockSlot, _ coordinator: Coordinator) -> BlockLineage {
    let state = coordinator.state
    let key = state.expectedKeys[slot]!
    let (word, reason) = stateWords(slot, coordinator)
    let block = state.block(at: slot)
    let children = state.plan.slots(ofShard: slot.shard)
      .filter { $0.parent.flatMap { state.expectedKeys[$0] } == key }
      .compactMap { state.expectedKeys[$0] }
    var lineage = BlockLineage(
      key: key.description, shard: slot.shard, sequence: slot.sequence, stage: slot.stage,
      layers: Array(state.plan.layerGroups[slot.stage - 1]), state: word, reason: reason,
      artifact: block?.artifact.hex, numericClass: state.numericClass ?? "",
      backbone: state.run.backbone.hex, recipe: state.recipeDigest.hex,
      seed: String(LineageDigest.stageSeed(runSeed: state.run.seed, slot: slot, plan: state.plan)),
      parent: slot.parent.flatMap { state.expectedKeys[$0]?.description },
      slices: state.plan.slicesRead(by: slot).map { slice in
        let contents = state.slices[slot.shard][slice]
        return BlockLineage.Slice(
          slice: slice, digest: contents.digest.hex, records: contents.recordCount)
      },
      children: Set(children).sorted().map(\.description))
    lineage.parentArtifact = slot.parent.flatMap { state.block(at: $0)?.artifact.hex }
    if let block {
      lineage.worker = block.worker
      // A worker may claim a time that is no number, or longer than there were clocks.
      let took = Milliseconds(exactly: (block.work.seconds * 1000).rounded()) ?? 0
      lineage.startedAt = Timestamp.text(block.at - min(max(took, 0), block.at))
      lineage.trainedAt = Timestamp.text(block.at)
      lineage.steps = block.work.steps
      lineage.examplesPerSecond = block.work.examplesPerSecond
      lineage.gemmShare = block.work.gemmShare
      lineage.finalLoss = block.work.finalLoss
    }
    return lineage
  }

  func status() -> RunStatus {
    let ownAlarms = ownAlarms
    let misconduct = misconduct.withLock { $0 }
    let diskProblem = diskProblem()
    return loop.report { view, reports in
      let (coordinator, sequence) = (view.coordinator, view.sequence)
      let state = coordinator.state
      let head = state.ledger.head
      var status = RunStatus(
        run: state.run.name, layout: state.plan.layout.rawValue,
        repair: Self.describe(
          state.run, coordinator.allowance.slicesLeft(at: coordinator.now.monotonic)),
        journalSequence: sequence, records: state.recordCount,
        deleted: state.deletedTags.count, blocks: state.plan.slotCount,
        blocksTrained: reports.reduce(0) { $0 + $1.trainedCount },
        blocksMasked: state.maskedSince.count, blocksTraining: coordinator.leases.count,
        waiting: coordinator.waitingCounts(reports), fullDepth: state.plan.sliceCount, shards: [],
        workers: [], stages: Self.speeds(reports, state.plan),
        numericClass: state.numericClass,
        deletionsPending: state.openDeletions.count, ledgerSize: head.size,
        ledgerRoot: head.root.hex, journalSyncs: view.syncCount, audit: coordinator.audit.report,
        alarms: coordinator.alarms + ownAlarms + coordinator.purgeAlarms
          + [view.isOnReserve ? Self.reserveProblem : diskProblem].compactMap(\.self))
      status.purgeWaitsFor = Self.describe(coordinator.purgeWaits)
      status.refused = Dictionary(
        uniqueKeysWithValues: misconduct.counts.map { ($0.key.rawValue, $0.value) })
      status.keysTurnedOut = misconduct.namesTurnedOut
      status.shards = reports.indices.map { shard in
        RunStatus.Shard(
          shard: shard, records: state.slices[shard].reduce(0) { $0 + $1.recordCount },
          depth: reports[shard].served?.depth ?? 0, sequenceDepths: reports[shard].sequenceDepths)
      }
      status.workers = coordinator.workers.sorted { $0.key < $1.key }.map { id, worker in
        Self.describe(worker, id, coordinator)
      }
      return status
    }
  }

  private static func describe(_ run: RunDescription, _ slicesLeft: Int?) -> RunStatus.Repair {
    let (policy, rule) =
      switch run.repairPolicy {
      case .eager: ("eager", "at once")
      case .batched(let quiet, let maximumAge):
        (
          "batched",
          "\(quiet / 1000) s after the last deletion, at most \(maximumAge / 1000) s after a mask"
        )
      case .depthBelow(let depth): ("depth", "where a shard serves fewer than \(depth) blocks")
      case .manual: ("manual", "when lethe train asks for it")
      }
    return RunStatus.Repair(
      policy: policy, rule: rule, slicesPerHour: run.repairBudget, slicesLeft: slicesLeft)
  }

  private static func describe(
    _ worker: WorkerState, _ id: WorkerID, _ coordinator: Coordinator
  ) -> RunStatus.Worker {
    var described = RunStatus.Worker(
      name: worker.introduction.name, roles: worker.introduction.roles.map(\.rawValue).sorted())
    if let lease = coordinator.leases.lease(of: id) {
      described.training = "\(lease.slot.shard)/\(lease.slot.sequence)/\(lease.slot.stage)"
      let progress = coordinator.progress(of: lease)
      described.step = progress.step
      described.totalSteps = progress.totalSteps
    } else if worker.introduction.roles.contains(.train), !coordinator.canTrain(id) {
      described.reason = WaitingReason.noMatchingNumericClass.word
    }
    return described
  }

  private static func speeds(_ reports: [ShardReport], _ plan: RunPlan) -> [RunStatus.StageSpeed] {
    (1...plan.sliceCount).compactMap { stage in
      var work = StageWork()
      for report in reports { work.add(report.work[stage - 1]) }
      guard work.seconds > 0 else { return nil }
      let slices = work.slicesKept.addingOrLargest(work.slicesComputed)
      return RunStatus.StageSpeed(
        stage: stage, layers: Array(plan.layerGroups[stage - 1]), blocks: work.blockCount,
        examplesPerSecond: Double(work.examples) / work.seconds,
        gemmShare: work.gemmSeconds / work.seconds,
        keptShare: slices == 0 ? nil : Double(work.slicesKept) / Double(slices))
    }
  }
}
