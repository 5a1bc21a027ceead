import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// What must hold after every event, whatever happens.
final class Invariants {
  weak var world: Simulation!
  private let scenario: Scenario
  /// What the state in memory must come to.
  private var model: ReferenceModel
  /// Deletions that someone has been promised.
  private var promised: Set<RecordTag> = []
  /// Which records a block's bytes were made from.
  private var origins: [Digest: Set<RecordTag>] = [:]
  /// Keys that have a block.
  private var standing: Set<BlockKey> = []
  /// Blocks that a lying worker has sent with other bits.
  var liesTold = 0
  /// Sessions that were ended because they did not confirm: nobody vouches for what they hold.
  private var cutOff: Set<WorkerID> = []
  private var servingMayHaveChanged = false
  /// Failures that counted, of a connection in ten seconds.
  private var failuresNoted: [WorkerID: (window: Milliseconds, count: Int)] = [:]
  private var failure: String?

  init(_ scenario: Scenario) {
    self.scenario = scenario
    model = ReferenceModel(
      scenario.run, scenario.plan, numericClass: Scenario.numericClass, records: scenario.records)
  }

  /// Remembers a broken invariant; `check` throws it.
  func fail(_ what: String) {
    if failure == nil { failure = what }
  }

  private func require(_ condition: Bool, _ what: @autoclosure () -> String) {
    if !condition { fail(what()) }
  }

  func check() throws {
    if servingMayHaveChanged, world.coordinator.isUp { checkServing() }
    servingMayHaveChanged = false
    if let failure { throw world.violation(failure) }
  }

  // MARK: - The coordinator

  func decided(_ event: Event, _ step: Step, _ core: Coordinator) {
    for case .cutOff(let id, _) in step.effects { cutOff.insert(id) }
    for entry in step.entries {
      switch entry {
      case .deleted(let deletion): for tag in deletion.tags { model.delete(tag) }
      case .committed(let block): committed(block)
      case .purged(let number, _, let artifacts, _): purged(through: number, artifacts, core)
      case .certified(let number, _, _): certified(number, core.state)
      default: break
      }
    }
    peersWereHeld(step, core)
    // Whatever a peer does not say, a purge ends: files take a few seconds here.
    if let purge = core.purge {
      require(
        core.now.monotonic - purge.startedAt.monotonic <= Coordinator.confirmationLimit + 10_000,
        "a purge waits for longer than its bound: \(core.purgeWaits)")
    }
    for case .accepted(_, let epoch) in step.effects {
      require(
        epoch >> 32 == UInt64(core.state.term), "a result of an earlier term was accepted: \(epoch)"
      )
    }
    if !step.entries.isEmpty {
      standing = Set(core.state.blocks.keys)
      servingMayHaveChanged = true
    }
  }

  /// Whatever a peer says of itself or of a lease holds nobody up, and goes round in no hot loop.
  private func peersWereHeld(_ step: Step, _ core: Coordinator) {
    require(!core.isBehind, "a head that this run did not give out put it behind")
    let isPinned = step.entries.contains {
      if case .numericClassPinned = $0 { true } else { false }
    }
    let hasBlock = step.entries.contains { if case .committed = $0 { true } else { false } }
    require(!isPinned || hasBlock, "a numeric class was pinned without a block")
    for (key, failures) in core.failures where failures.isPoisoned {
      let keys = Set(failures.attemptsByKey.keys).union(failures.lossesByKey.keys)
      require(keys.count > 1, "one key alone poisoned \(key)")
    }
    for lease in core.leases.all {
      // Five minutes, half an hour or more where less is known, and the ticks in between.
      let limit = StagePace.leastStartPatience + 2_000 * Milliseconds(scenario.records.count)
      require(
        core.now.monotonic - lease.progressedAt <= limit + 60_000
          || core.now.monotonic > lease.until,
        "a lease of \(lease.slot) stands still for ever")
    }
    for case .noted(let id, _, _) in step.effects {
      let window = core.now.monotonic / 10_000
      let count = failuresNoted[id].map { $0.window == window ? $0.count + 1 : 1 } ?? 1
      failuresNoted[id] = (window, count)
      require(count <= 20, "a worker failed \(count) leases within ten seconds")
    }
  }

  /// A slice has left the coordinator: its reader's lease must be of a stage that reads it.
  func read(_ reference: SliceReference, _ slot: BlockSlot?) {
    guard let slot else { return fail("a slice was read without a lease") }
    let order = scenario.plan.sequences[slot.sequence].order
    let read =
      scenario.run.stageData == .cumulative
      ? Array(order.prefix(slot.stage)) : [order[slot.stage - 1]]
    require(
      slot.shard == reference.location.shard && read.contains(reference.location.slice),
      "\(reference.location) was read under the lease of \(slot)")
  }

  private func committed(_ block: CommittedBlock) {
    world.count("block committed")
    let expected = model.block(at: block.slot)
    require(!standing.contains(block.key), "block \(block.key) was committed twice")
    require(
      block.key == expected.key, "\(block.slot) was committed with the key of other records")
    if block.artifact != expected.artifact {
      // A block made from a lie is one, too.
      require(liesTold > 0, "\(block.slot) came out with other bits from \(block.worker)")
      world.count("lie committed")
    }
  }

  /// Certified means that what is served is the fresh run, wherever the deletion reaches.
  private func certified(_ number: UInt64, _ state: RunState) {
    world.count("deletion certified")
    // Nobody has asked for training: a fresh run would serve nothing either.
    guard state.isTrainingRequested else { return }
    for expected in model.blocks(reading: state.deletion(number).locations) {
      let block = state.block(at: expected.slot)
      require(
        block?.key == expected.block.key,
        "deletion \(number) is certified, and \(expected.slot) serves no fresh run's block")
    }
  }

  /// Purged means gone: from files and from every worker that still belongs to the fleet.
  private func purged(through number: UInt64, _ artifacts: [Digest], _ core: Coordinator) {
    world.count("purge")
    let gone = Set(core.state.deletedTags.filter { $0.value <= number }.keys)
    for (location, records) in world.coordinator.disk.slices {
      require(
        records.allSatisfy { !gone.contains($0.tag) }, "\(location) holds a purged record")
    }
    for artifact in artifacts where core.state.artifactUses[artifact] == nil {
      require(
        world.coordinator.disk.artifacts[artifact] == nil, "artifact \(artifact) was not removed")
    }
    for worker in world.workers {
      guard let connection = worker.connection, world.coordinator.isConnected(connection),
        connection.id.map({ !cutOff.contains($0) }) ?? true
      else { continue }
      require(
        worker.heldRecords.isDisjoint(with: gone), "worker \(worker.index) holds a purged record")
      for artifact in artifacts where core.state.artifactUses[artifact] == nil {
        require(
          !worker.heldArtifacts.contains(artifact),
          "worker \(worker.index) holds a purged artifact")
      }
    }
  }

  /// A restart found this state on the disk.
  func recovered(_ state: RunState, _ records: RecordIndex) {
    for tag in promised {
      require(state.deletedTags[tag] != nil, "an acknowledged deletion was lost")
      require(records[tag] == nil, "a deleted record is live again")
    }
    do {
      require(try RunState(encoded: state.encoded) == state, "a snapshot gives another state")
    } catch {
      fail("a snapshot cannot be read: \(error)")
    }
    model = ReferenceModel(
      scenario.run, scenario.plan, numericClass: Scenario.numericClass, records: scenario.records)
    for tag in state.deletedTags.keys { model.delete(tag) }
    standing = Set(state.blocks.keys)
    for block in state.blocks.values {
      require(
        world.coordinator.disk.artifacts[block.artifact] != nil, "a committed artifact was lost")
    }
    servingMayHaveChanged = true
  }

  private func checkServing() {
    let state = world.coordinator.core.state
    for prefix in state.servingView() {
      for (index, artifact) in prefix.artifacts.enumerated() {
        let slot = BlockSlot(shard: prefix.shard, sequence: prefix.sequence, stage: index + 1)
        let expected = model.block(at: slot)
        require(state.expectedKeys[slot] == expected.key, "\(slot) serves under a stale key")
        require(
          artifact == expected.artifact || liesTold > 0, "\(slot) serves other bits than it must")
      }
    }
  }

  // MARK: - People

  /// Reports that are kept say what the state says.
  func reported(_ reports: [ShardReport], _ core: Coordinator) {
    let state = core.state
    require(
      reports.compactMap(\.served) == state.servingView(), "a report serves something else")
    require(
      reports.reduce(0) { $0 + $1.trainedCount }
        == state.plan.allSlots.count { state.block(at: $0) != nil },
      "reports count other blocks")
    var waiting: [String: Int] = [:]
    for slot in state.untrainedSlots {
      let reason = core.waitingReason(of: slot)
      if reason != .training { waiting[reason?.word ?? "queued", default: 0] += 1 }
    }
    // Without a class, and without a worker to try one, there are no keys to wait for.
    require(
      waiting == core.waitingCounts(reports) || state.expectedKeys.isEmpty,
      "reports give other reasons for waiting")
  }

  func acknowledged(_ tag: RecordTag) {
    promised.insert(tag)
    require(
      world.coordinator.core.state.deletedTags[tag] != nil, "acknowledged, but not deleted")
  }

  func denied(_ tag: RecordTag) {
    require(
      !scenario.records.contains { $0.tag == tag }, "a record was said to be unknown")
  }

  func predicted(_ predictions: [ShardedPrediction], from view: [ServedPrefix]) {
    let artifacts = view.flatMap(\.artifacts)
    require(
      predictions == [SimulatedWorker.prediction(from: artifacts)],
      "an answer came from other blocks than asked for")
    for artifact in artifacts {
      require(
        promised.isDisjoint(with: origins[artifact] ?? []),
        "an answer was made with a block that saw a deleted record")
    }
  }

  // MARK: - Workers and wire

  /// A worker has trained a block from these records.
  func trained(_ artifact: [UInt8], from records: Set<RecordTag>, ancestors: [[UInt8]]) {
    let ancestral = ancestors.flatMap { origins[SHA256.hash($0)] ?? [] }
    origins[SHA256.hash(artifact)] = records.union(ancestral)
  }

  /// An end of the wire let a message through: it must be the next that was sent.
  func delivered(
    _ message: WireMessage, toCoordinator: Bool, over connection: SimulatedNetwork.Connection
  ) throws {
    let sent = toCoordinator ? connection.sent.toCoordinator : connection.sent.toWorker
    let place = toCoordinator ? connection.delivered.toCoordinator : connection.delivered.toWorker
    require(
      place < sent.count && sent[place] == message,
      "connection \(connection.number) delivered what was not sent, or out of order")
    if toCoordinator {
      connection.delivered.toCoordinator += 1
    } else {
      connection.delivered.toWorker += 1
    }
  }

  // MARK: - The end

  func checkEnd() throws {
    let coordinator = world.coordinator
    let state = coordinator.core.state
    for tag in promised {
      require(state.deletedTags[tag] != nil, "an acknowledged deletion was lost")
    }
    for slot in state.plan.allSlots {
      let expected = model.block(at: slot)
      guard let block = state.block(at: slot) else { continue }
      require(block.key == expected.key, "\(slot) ended with another key")
      require(
        block.artifact == expected.artifact || liesTold > 0, "\(slot) ended with other bits")
    }
    let quarantined = state.quarantinedKeys
    require(quarantined.isEmpty || liesTold > 0, "an honest fleet's block was quarantined")
    require(
      Set(coordinator.disk.artifacts.keys) == Set(state.artifactUses.keys),
      "the disk holds other artifacts than the state names")
    for (location, records) in coordinator.disk.slices {
      require(
        records.allSatisfy { coordinator.core.records[$0.tag] != nil },
        "\(location) holds a deleted record")
    }
    require(
      coordinator.disk.checkpointKeys.allSatisfy { coordinator.core.checkpoints[$0] != nil },
      "the disk holds a checkpoint that nobody knows of")
    if let failure { throw world.violation(failure) }
  }
}
