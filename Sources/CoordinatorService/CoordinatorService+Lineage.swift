import CoordinatorAPI
import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import Unlearning

extension CoordinatorService {
  /// The coordinator now, or its state right after an earlier journal entry.
  ///
  /// State is what applying entries gives, so the past is one replay away.
  private func coordinator(at sequence: UInt64?) throws -> Coordinator {
    guard let sequence else { return loop.inspect { coordinator in coordinator } }
    let newest = loop.inspect { _, newest in newest }
    guard sequence <= newest else {
      throw APIFailure(400, "the journal ends at \(newest)", try: "give a smaller sequence")
    }
    let entries = try JournalFile.entries(directory.journalPath).prefix(Int(sequence))
    guard case .created(let run)? = entries.first else {
      throw APIFailure(500, "the journal does not begin with a run")
    }
    var state = try RunState(run)
    for entry in entries.dropFirst() { state.apply(entry) }
    return Coordinator(state)
  }

  func recordLineage(id text: String, at sequence: UInt64?) throws -> RecordLineage {
    guard let id = try? RecordID(text) else {
      throw APIFailure(400, "the id is empty, too long or holds control characters")
    }
    let state = try coordinator(at: sequence).state
    let tag = directory.tag(id)
    guard let record = state.records[tag] else {
      let word = state.deletedTags[tag] == nil ? "unknown" : "deleted"
      return RecordLineage(state: word, shard: nil, slice: nil, blocks: [])
    }
    let keys = state.slots(dependingOn: tag).compactMap { state.block(at: $0)?.key.description }
    return RecordLineage(
      state: "live", shard: record.location.shard, slice: record.location.slice, blocks: keys)
  }

  func shardLineage(_ text: String, at sequence: UInt64?) throws -> ShardLineage {
    let coordinator = try coordinator(at: sequence)
    let state = coordinator.state
    guard let shard = Int(text), (0..<state.plan.shardCount).contains(shard) else {
      throw APIFailure(
        404, "there is no shard \(text)", try: "shards are 0 to \(state.plan.shardCount - 1)")
    }
    return ShardLineage(
      shard: shard,
      slices: state.slices[shard].enumerated().map {
        ShardLineage.Slice(slice: $0.offset, records: $0.element.digests.count)
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

  private func stateWords(_ slot: BlockSlot, _ coordinator: Coordinator)
    -> (state: String, reason: String?)
  {
    if coordinator.state.block(at: slot) != nil { return ("trained", nil) }
    let reason = coordinator.waitingReason(of: slot)
    if reason == .training { return ("training", nil) }
    let word = coordinator.state.maskedSince[slot] == nil ? "waiting" : "masked"
    return (word, reason?.word ?? "queued")
  }

  func blockLineage(_ text: String, at sequence: UInt64?) throws -> BlockLineage {
    let coordinator = try coordinator(at: sequence)
    let state = coordinator.state
    guard text.count >= 6, text.allSatisfy(\.isHexDigit) else {
      throw APIFailure(400, "a block is named by its key or at least its first 6 digits")
    }
    let matches = state.expectedKeys.filter { $0.value.description.hasPrefix(text.lowercased()) }
    guard let (slot, key) = matches.min(by: { $0.key < $1.key }) else {
      throw APIFailure(
        404, "no block has this key now",
        try: "a deletion gives blocks new keys; use at to ask about an earlier state")
    }
    guard Set(matches.values).count == 1 else {
      throw APIFailure(400, "several keys begin like this", try: "give more digits")
    }
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
          slice: slice, digest: contents.digest.hex, records: contents.digests.count)
      },
      children: Set(children).sorted().map(\.description))
    if let block {
      lineage.worker = block.worker
      lineage.trainedAt = Timestamp.text(block.at)
      lineage.steps = block.work.steps
      lineage.examplesPerSecond = block.work.examplesPerSecond
      lineage.gemmShare = block.work.gemmShare
      lineage.finalLoss = block.work.finalLoss
    }
    return lineage
  }

  func status() -> RunStatus {
    loop.inspect { coordinator, sequence in
      let state = coordinator.state
      let slots = state.plan.allSlots
      var waiting: [String: Int] = [:]
      for slot in slots where state.block(at: slot) == nil {
        let reason = coordinator.waitingReason(of: slot)
        if reason != .training { waiting[reason?.word ?? "queued", default: 0] += 1 }
      }
      var status = RunStatus(
        run: state.run.name, journalSequence: sequence, records: state.records.count,
        deleted: state.deletedTags.count, blocks: slots.count,
        blocksTrained: slots.count { state.block(at: $0) != nil },
        blocksMasked: state.maskedSince.count, blocksTraining: coordinator.leases.count,
        waiting: waiting, fullDepth: state.plan.sliceCount, shards: [], workers: [], stages: [],
        numericClass: state.numericClass,
        deletionsPending: state.deletions.count { $0.stateWord != "repaired" },
        alarms: coordinator.alarms)
      status.shards = (0..<state.plan.shardCount).map { shard in
        RunStatus.Shard(
          shard: shard, records: state.slices[shard].reduce(0) { $0 + $1.digests.count },
          depth: state.servedPrefix(shard: shard)?.depth ?? 0,
          sequenceDepths: state.plan.sequences.indices.map {
            state.depth(shard: shard, sequence: $0)
          })
      }
      status.workers = coordinator.workers.sorted { $0.key < $1.key }.map { id, worker in
        Self.describe(worker, id, coordinator)
      }
      status.stages = Self.speeds(state)
      return status
    }
  }

  private static func describe(
    _ worker: WorkerState, _ id: WorkerID, _ coordinator: Coordinator
  ) -> RunStatus.Worker {
    var described = RunStatus.Worker(
      name: worker.introduction.name, roles: worker.introduction.roles.map(\.rawValue).sorted())
    if let lease = coordinator.leases.values.first(where: { $0.worker == id }) {
      described.training = "\(lease.slot.shard)/\(lease.slot.sequence)/\(lease.slot.stage)"
      described.step = lease.progress.step
      described.totalSteps = lease.progress.totalSteps
    } else if worker.introduction.roles.contains(.train), !coordinator.canTrain(id) {
      described.reason = WaitingReason.noMatchingNumericClass.word
    }
    return described
  }

  private static func speeds(_ state: RunState) -> [RunStatus.StageSpeed] {
    (1...state.plan.sliceCount).compactMap { stage in
      let works = state.blocks.values.filter { $0.slot.stage == stage }.map(\.work)
      let seconds = works.reduce(0) { $0 + $1.seconds }
      guard seconds > 0 else { return nil }
      return RunStatus.StageSpeed(
        stage: stage, layers: Array(state.plan.layerGroups[stage - 1]), blocks: works.count,
        examplesPerSecond: works.reduce(0) { $0 + Double($1.examples) } / seconds,
        gemmShare: works.reduce(0) { $0 + $1.gemmSeconds } / seconds)
    }
  }
}

// MARK: - Verification

extension CoordinatorService {
  /// Recomputes every key from the records on disk and every artifact's digest from its bytes.
  func verify() -> VerificationReport {
    let state = loop.inspect { $0.state }
    var problems: [String] = []
    // A state built anew from the slice files: it shares no derived value with the running one.
    var recomputed: [BlockSlot: BlockKey] = [:]
    do {
      var fresh = try RunState(state.run)
      var slices: [IngestedSlice] = []
      for shard in state.slices.indices {
        for slice in state.slices[shard].indices {
          let location = SliceLocation(shard: shard, slice: slice)
          let records = try directory.slices.read(location)
            .filter { state.deletedTags[directory.tag($0.id)] == nil }
          slices.append(
            IngestedSlice(
              location: location,
              records: records.map {
                IngestedRecord(tag: directory.tag($0.id), digest: $0.digest)
              }))
        }
      }
      fresh.apply(.ingested(slices))
      if let numericClass = state.numericClass { fresh.apply(.numericClassPinned(numericClass)) }
      recomputed = fresh.expectedKeys
    } catch {
      problems.append("the records cannot be read: \(error)")
    }
    var report = VerificationReport(
      blocksChecked: 0, keysMatch: 0, bitsChecked: 0, bitsMatch: 0, problems: [])
    for slot in state.plan.allSlots {
      guard let block = state.block(at: slot) else { continue }
      report.blocksChecked += 1
      let place = "shard \(slot.shard), sequence \(slot.sequence), stage \(slot.stage)"
      if recomputed[slot] == block.key {
        report.keysMatch += 1
      } else {
        problems.append("\(place): the key is not the one the records on disk give")
      }
      do {
        _ = try directory.artifacts.get(block.artifact)
      } catch {
        problems.append("\(place): the artifact cannot be trusted: \(error)")
      }
    }
    report.problems = problems + loop.inspect { $0.alarms }
    return report
  }
}
