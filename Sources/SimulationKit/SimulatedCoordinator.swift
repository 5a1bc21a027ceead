import CoordinatorCore
import Hashing
import JournalFormat
import Unlearning
import WireFormat

/// The coordinator's shell in virtual time: the shipped state machine between a simulated disk and
/// simulated sockets.
final class SimulatedCoordinator {
  weak var world: Simulation!

  /// Something for the state machine, in the order of arrival.
  private enum Inbox {
    case event(Event)
    /// Stored when its turn comes, so that a purge and a commit of the same bytes cannot pass.
    case upload(WorkerID, epoch: UInt64, BlockKey, TrainingWork, artifact: [UInt8])
  }

  private(set) var core: Coordinator!
  private(set) var disk: SimulatedDisk
  private let scenario: Scenario
  /// Counts lives of the process; what an earlier life had planned does not happen.
  private(set) var life = 0
  private(set) var isUp = false
  private var inbox: [Inbox] = []
  private(set) var isSyncing = false
  private var connections: [WorkerID: SimulatedNetwork.Connection] = [:]
  private var accepted: [SimulatedNetwork.Connection] = []
  private var lastWorkerNumber: UInt64 = 0
  private var shownSize: UInt64 = 0
  /// The ledger as the disk has it: what anyone may be told of.
  private var durableHead = LedgerHead(size: 0, root: SHA256.hash([]))
  private(set) var keys: [KeyID: PeerKey] = [:]

  init(_ scenario: Scenario) {
    self.scenario = scenario
    disk = SimulatedDisk(nonce: SHA256.hash(Array("nonce \(scenario.seed)".utf8)))
    for shard in 0..<scenario.plan.shardCount {
      for slice in 0..<scenario.plan.sliceCount {
        let location = SliceLocation(shard: shard, slice: slice)
        disk.slices[location] = scenario.records.filter { $0.location == location }
      }
    }
  }

  // MARK: - Lives

  /// The first start: ingestion is durable before anything else is.
  func start() {
    for worker in world.workers { keys[worker.key.id] = worker.key }
    let ingested = disk.slices.sorted { $0.key < $1.key }.map { location, records in
      IngestedSlice(location: location, records: records.map(\.ingested))
    }
    disk.table = TableMemory(ingested, of: scenario.plan, binding: scenario.run.backbone)
    var entries: [JournalEntry] = [
      .created(scenario.run), .ingested(ingested.map(\.summary)),
    ]
    if scenario.isClassPinned { entries.append(.numericClassPinned(Scenario.numericClass)) }
    let bytes = disk.encode(entries.map(\.encoded), epoch: 0)
    for copy in 0...1 {
      disk.write(bytes, to: copy)
      disk.sync(copy)
    }
    restart()
    post(.trainingRequested)
    tick()
  }

  private func tick() {
    world.after(1_000) { [unowned self] in
      if isUp {
        post(.ticked)
        for connection in accepted { closeIfLate(connection) }
        showHead()
      }
      tick()
    }
  }

  func crash() {
    guard isUp else { return }
    world.count("coordinator crash")
    world.note("coordinator crashes")
    // The power may fail in the middle of a row that a purge overwrites.
    if !isSyncing, let row = core.purge?.order.rows.randomElement(using: &world.random) {
      disk.table.erase([row], of: core.records.table, byteCount: Int(world.chance(0...100)))
    }
    isUp = false
    life += 1
    inbox = []
    isSyncing = false
    world.people.coordinatorCrashed()
    for connection in accepted { world.network.breakOff(connection) }
    accepted = []
    connections = [:]
    disk.crash(&world.random)
    let life = life
    world.after(world.chance(50...20_000)) { [unowned self] in
      if life == self.life { restart() }
    }
  }

  /// Replays the journal with the shipped recovery and holds the files against it.
  private func restart() {
    do {
      let payloads = try disk.recover()
      if disk.lastRecovery.wasRepaired { world.count("journal repaired") }
      if disk.lastRecovery.wasTorn { world.count("journal torn") }
      var state = try RunState(scenario.run)
      for payload in payloads.dropFirst() { state.apply(try JournalEntry(encoded: payload)) }
      state.refreshKeys()
      let records = try RecordIndex(try disk.table.table(), state)
      world.invariants.recovered(state, records)
      // What a crash left between storing and committing belongs to nothing.
      disk.artifacts = disk.artifacts.filter { state.artifactUses[$0.key] != nil }
      let found = disk.newestCheckpoints()
      disk.removeCheckpoints { found[$0] != $1 }
      core = Coordinator(
        state, records: records, auditShare: scenario.auditShare, checkpoints: found)
      durableHead = core.state.ledger.head
      isUp = true
      world.note("coordinator starts with \(payloads.count) entries")
      post(.started)
    } catch {
      world.invariants.fail("recovery failed: \(error)")
    }
  }

  // MARK: - The loop

  func post(_ event: Event) {
    guard isUp else { return }
    inbox.append(.event(event))
    turn()
  }

  /// Decides what has arrived, makes it durable, and only then lets anyone hear of it.
  private func turn() {
    guard isUp, !isSyncing, !inbox.isEmpty else { return }
    var step = Step()
    let items = inbox
    inbox = []
    for item in items {
      let event: Event
      switch item {
      case .event(let posted): event = posted
      case .upload(let id, let epoch, let key, let work, let artifact):
        let digest = SHA256.hash(artifact)
        disk.artifacts[digest] = artifact
        event = .uploaded(
          id,
          Upload(
            epoch: epoch, key: key, artifact: digest, byteCount: UInt64(artifact.count),
            work: work))
      }
      let next = core.handle(event, at: world.moment)
      world.note(event, next)
      world.invariants.decided(event, next, core)
      step.add(next)
    }
    guard !step.entries.isEmpty else { return perform(step.effects) }
    isSyncing = true
    // Where a crash hurts most: between the first byte written and the last one synced.
    if world.fault(oneIn: 150) { world.after(world.chance(0...6)) { [unowned self] in crash() } }
    let bytes = disk.encode(step.entries.map(\.encoded), epoch: UInt64(core.state.term))
    let life = life
    disk.write(bytes, to: 0)
    world.after(world.chance(0...3)) { [unowned self] in
      guard life == self.life else { return }
      disk.sync(0)
      disk.write(bytes, to: 1)
      world.after(world.chance(0...3)) { [unowned self] in
        guard life == self.life else { return }
        disk.sync(1)
        isSyncing = false
        durableHead = core.state.ledger.head
        perform(step.effects)
        turn()
      }
    }
  }

  private func perform(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .grant(let id, let grant): send(.lease(grant), to: id)
      case .noted: world.count("failure noted")
      case .tell(let id, let text):
        world.count("worker told")
        send(.notice(text), to: id)
      case .heard(let id, let epoch): send(.heard(epoch: epoch), to: id)
      case .cancel(let id, let epoch): send(.cancel(epoch: epoch), to: id)
      case .accepted(let id, let epoch): send(.uploadAccepted(epoch: epoch), to: id)
      case .refused(let id, let epoch, let refusal):
        world.count("refused \(refusal)")
        send(.uploadRefused(epoch: epoch, refusal), to: id)
      case .forget(let id, let number, let artifacts):
        send(.forget(throughDeletion: number, artifacts: artifacts), to: id)
      case .deletionDecided(let token, let decision): world.people.decided(token, decision)
      case .discard(let artifact):
        // The same bytes may have come again and become a block since this was decided.
        if core.state.artifactUses[artifact] == nil { disk.artifacts[artifact] = nil }
      case .discardCheckpoint(let key, let checkpoint): disk.removeCheckpoint(checkpoint, of: key)
      case .purge(let order): purge(order)
      // Disks here fail by losing what was not synced, never by refusing to remove.
      case .purgeAgain, .removeExport:
        world.invariants.fail("a place was tried again that never failed")
      case .cutOff(let id, let reason):
        world.count("cut off")
        world.note("worker \(id.number) is cut off: \(reason)")
        if let connection = connections[id] { world.network.breakOff(connection) }
      }
    }
  }

  // MARK: - Purging

  private func purge(_ order: PurgeOrder) {
    let life = life
    world.after(world.chance(5...2_000)) { [unowned self] in
      guard life == self.life else { return }
      // Files are changed by what is durable.
      guard !isSyncing else { return purge(order) }
      for location in order.slices {
        disk.slices[location]?.removeAll { core.records[$0.tag] == nil }
      }
      disk.table.erase(order.rows, of: core.records.table)
      for artifact in order.artifacts where core.state.artifactUses[artifact] == nil {
        disk.artifacts[artifact] = nil
      }
      disk.removeCheckpoints { core.checkpoints[$0]?.checkpoint != $1 }
      post(.purgeFinished(throughDeletion: order.throughDeletion))
    }
  }

  // MARK: - Connections

  func accept(_ connection: SimulatedNetwork.Connection) -> Bool {
    guard isUp else { return false }
    connection.coordinatorEnd = CoordinatorEnd(
      nonce: world.bytes(32), dummySecret: world.bytes(32), at: world.now)
    accepted.append(connection)
    return true
  }

  func receive(_ bytes: [UInt8], over connection: SimulatedNetwork.Connection) throws {
    guard isUp, accepted.contains(where: { $0 === connection }) else { return }
    let actions = connection.coordinatorEnd?.receive(bytes, at: world.now) { keys[$0] } ?? []
    for action in actions {
      switch action {
      case .write(let bytes):
        world.network.send(bytes, over: connection, toCoordinator: false)
      case .introduced(let introduction, let key): introduce(introduction, key, connection)
      case .message(let message, let request):
        try world.invariants.delivered(message, toCoordinator: true, over: connection)
        if let id = connection.id { handle(message, request, from: id) }
      // The simulator's ends have no limits of their own.
      case .tooLarge: break
      case .close(let reason):
        world.note("coordinator closes \(connection.number): \(reason)")
        world.count("closed by coordinator")
        world.network.breakOff(connection)
      }
    }
  }

  private func introduce(
    _ introduction: Introduction, _ key: PeerKey, _ connection: SimulatedNetwork.Connection
  ) {
    lastWorkerNumber += 1
    let id = WorkerID(lastWorkerNumber)
    connection.id = id
    connections[id] = connection
    send(.welcome(scenario.run.recipe, Self.attest(durableHead)), to: id)
    let seen = introduction.head.flatMap { Self.attest($0.head) == $0 ? $0.head : nil }
    if introduction.head != nil, seen == nil { world.count("head ignored") }
    post(.workerJoined(id, introduction, PeerProof(key.id.identity, head: seen)))
  }

  /// The tag that only this coordinator can put on a head.
  private static func attest(_ head: LedgerHead) -> AttestedHead {
    AttestedHead(
      head,
      tag: HMAC.authenticate(key: Array("tombstone".utf8), AttestedHead.message(head)))
  }

  private func closeIfLate(_ connection: SimulatedNetwork.Connection) {
    guard let end = connection.coordinatorEnd, end.deadline <= world.now else { return }
    world.count("deadline passed")
    world.network.breakOff(connection)
  }

  func lost(_ connection: SimulatedNetwork.Connection) {
    accepted.removeAll { $0 === connection }
    if let id = connection.id, connections.removeValue(forKey: id) != nil {
      world.people.workerLeft(id)
      post(.workerLeft(id))
    }
  }

  func send(_ message: WireMessage, to id: WorkerID, request: UInt64 = 0) {
    guard let connection = connections[id] else { return }
    connection.sent.toWorker.append(message)
    for bytes in connection.coordinatorEnd?.send(message, request: request) ?? [] {
      world.network.send(bytes, over: connection, toCoordinator: false)
    }
  }

  /// Tells every worker once the ledger has grown.
  private func showHead() {
    guard durableHead.size > shownSize else { return }
    shownSize = durableHead.size
    for id in connections.keys.sorted() { send(.head(Self.attest(durableHead)), to: id) }
  }

  /// What answers now, as the service finds it: from reports that are kept.
  func servingView() -> [ServedPrefix] {
    let reports = core.refreshedReports()
    world.invariants.reported(reports, core)
    return reports.compactMap(\.served)
  }

  func servingWorker() -> WorkerID? {
    let serving = connections.keys.filter {
      core.workers[$0]?.introduction.roles.contains(.serve) == true
    }
    return serving.sorted().randomElement(using: &world.random)
  }

  func isConnected(_ connection: SimulatedNetwork.Connection) -> Bool {
    connection.id.map { connections[$0] === connection } ?? false
  }

  /// Takes a worker's key away and gives it a new one; the old connection is cut.
  func revokeAndRenewKey(of worker: SimulatedWorker) {
    world.count("key revoked")
    world.note("key of \(worker.index) revoked")
    keys[worker.key.id] = nil
    worker.renewKey()
    keys[worker.key.id] = worker.key
    if let connection = worker.connection { world.network.breakOff(connection) }
  }

  // MARK: - Messages

  private func handle(_ message: WireMessage, _ request: UInt64, from id: WorkerID) {
    if let event = message.event(from: id) { return post(event) }
    switch message {
    case .fetchSlice(let reference):
      let answer = slice(reference, for: id)
      if case .slice = answer {
        world.invariants.read(reference, core.leases.lease(of: id)?.slot)
      }
      send(answer, to: id, request: request)
    case .fetchArtifact(let digest):
      let isLive =
        core.state.artifactUses[digest] != nil
        && (core.mayRead(artifact: digest, id) || world.people.isAsked(id, about: digest))
      let bytes = isLive ? disk.artifacts[digest] : nil
      send(bytes.map { .artifact($0) } ?? .unavailable("gone"), to: id, request: request)
    case .fetchCheckpoint(let key):
      let bytes = core.checkpoints[key].flatMap { disk.checkpoint($0.checkpoint, of: key) }
      send(bytes.map { .artifact($0) } ?? .unavailable("gone"), to: id, request: request)
    case .checkpoint(let epoch, let key, let step, let state):
      let checkpoint = StageCheckpoint(step: step, digest: SHA256.hash(state))
      disk.store(state, checkpoint, of: key)
      post(.checkpointed(id, epoch: epoch, key, checkpoint))
    case .upload(let epoch, let key, let work, let artifact):
      guard let demand = core.demand(ofUpload: key, epoch: epoch, from: id) else {
        return post(.uploadedTooLate(id, epoch: epoch))
      }
      guard SimulatedTraining.isWellFormed(artifact, of: key), (try? work.check(demand)) != nil
      else {
        world.count("upload refused at the gate")
        send(.uploadRefused(epoch: epoch, .invalidArtifact), to: id)
        return post(.failed(id, epoch: epoch, Failure(kind: .host, reason: "malformed")))
      }
      inbox.append(.upload(id, epoch: epoch, key, work, artifact: artifact))
      turn()
    case .predictions, .predictionFailed: world.people.answered(message, request, from: id)
    default: world.invariants.fail("a worker's end let \(message) through")
    }
  }

  private func slice(_ reference: SliceReference, for id: WorkerID) -> WireMessage {
    let location = reference.location
    guard core.mayRead(reference, id) else { return .unavailable("not under a lease") }
    let live = (disk.slices[location] ?? []).filter { core.records[$0.tag] != nil }
    return .slice(live.map(\.encoded))
  }

  // MARK: - The end

  /// Whether everything that can be trained is, and every deletion has its certificate.
  var isFinished: Bool {
    isUp && !isSyncing && inbox.isEmpty && core.purge == nil && !hasOpenDeletions
      && auditable.isEmpty && trainable.isEmpty
  }

  /// What `isFinished` misses, in words.
  var unfinished: [String] {
    guard isUp else { return ["the coordinator is down"] }
    var reasons = trainable.map { slot in
      "\(slot) waits: \(core.waitingReason(of: slot)?.word ?? "ready")"
    }
    if hasOpenDeletions { reasons.append("deletions \(core.state.openDeletions) are open") }
    if core.purge != nil { reasons.append("a purge is under way") }
    if !auditable.isEmpty { reasons.append("audits wait") }
    return reasons
  }

  /// Missing blocks, but those that follow a quarantined one: they cannot be trained.
  private var trainable: [BlockSlot] {
    core.state.plan.allSlots.filter { slot in
      core.state.block(at: slot) == nil
        && (1...slot.stage).allSatisfy { stage in
          let ancestor = BlockSlot(shard: slot.shard, sequence: slot.sequence, stage: stage)
          return core.state.expectedKeys[ancestor].map {
            !core.state.quarantinedKeys.contains($0)
          } ?? true
        }
    }
  }

  private var auditable: [BlockKey] {
    core.audit.waiting.filter { key in
      core.state.blocks[key].map { core.state.assignment(for: $0.slot) != nil } ?? false
    }
  }

  /// A deletion that masked a block which is quarantined since stays unrepaired.
  private var hasOpenDeletions: Bool {
    core.state.openDeletions.contains { number in
      core.state.deletion(number).purgedAt == nil || core.state.quarantinedKeys.isEmpty
    }
  }

  /// Has everything that policy or poison holds back trained after all.
  func askForTraining() { post(.trainingRequested) }
}
