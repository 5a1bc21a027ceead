import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// A run of 2 shards × 2 slices × 2 sequences with three records in every slice.
struct Bench {
  var coordinator: Coordinator
  var entries: [JournalEntry] = []
  var effects: [Effect] = []
  var time: Milliseconds = 1_000_000
  /// How far the wall clock was set back.
  var wallSetBack: Milliseconds = 0
  /// The record table's bytes; a purge overwrites rows there.
  let memory: TableMemory

  static let run = RunDescription(
    name: "test", shardCount: 2, sliceCount: 2, sequenceCount: 2, layerCount: 4,
    stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
    recipe: TrainingRecipe(labels: ["a", "b"]), backbone: SHA256.hash([9]), repairPolicy: .eager)

  static func tag(_ shard: Int, _ slice: Int, _ number: Int) -> RecordTag {
    RecordTag(SHA256.hash([UInt8(shard), UInt8(slice), UInt8(number)]))
  }

  static let slices: [IngestedSlice] = (0..<2).flatMap { shard in (0..<2).map { slice(shard, $0) } }

  private static func slice(_ shard: Int, _ slice: Int) -> IngestedSlice {
    IngestedSlice(
      location: SliceLocation(shard: shard, slice: slice),
      records: (0..<3).map {
        IngestedRecord(
          tag: tag(shard, slice, $0),
          digest: SHA256.hash([7, UInt8(shard), UInt8(slice), UInt8($0)]),
          payload: LookupTag(UInt64(100 * shard + 10 * slice + $0)))
      })
  }

  static let ingestion = JournalEntry.ingested(slices.map(\.summary))

  init(_ policy: RepairPolicy = .eager) throws {
    var run = Self.run
    run.repairPolicy = policy
    try self.init(run: run, slices: Self.slices)
  }

  init(run: RunDescription, slices: [IngestedSlice]) throws {
    var state = try RunState(run)
    state.apply(.ingested(slices.map(\.summary)))
    memory = TableMemory(slices, of: state.plan, binding: SHA256.hash([8]))
    coordinator = Coordinator(state, records: try RecordIndex(try memory.table(), state))
    handle(.started)
  }

  /// What the shell does for a purge before it says that files are clean.
  func erase(_ order: PurgeOrder) { memory.erase(order.rows, of: coordinator.records.table) }

  /// The index that a restart would make.
  func restartedRecords() throws -> RecordIndex {
    try RecordIndex(try memory.table(), coordinator.state)
  }

  /// A wish to delete these records, with commitments and a salt that a test can repeat.
  static func wish(_ tags: [RecordTag], key: Digest? = nil, plan: Digest? = nil) -> DeletionWish {
    DeletionWish(
      tags: tags, commitments: tags.map { SHA256.hash($0.digest.bytes) }, salt: SHA256.hash([5]),
      due: 99, requestKey: key, expectedPlan: plan)
  }

  @discardableResult
  mutating func handle(_ event: Event, after milliseconds: Milliseconds = 1) -> Step {
    time += milliseconds
    let step = coordinator.handle(event, at: Moment(monotonic: time, wall: time - wallSetBack))
    entries += step.entries
    effects += step.effects
    return step
  }

  /// The key of whoever works on a host: one for each, as an operator would give them out.
  static func identity(_ host: String) -> PeerIdentity { PeerIdentity(Array(host.utf8)) }

  /// - Parameter claimed: the host that the worker says it is on, where that is another.
  mutating func join(
    _ number: UInt64, host: String = "h", numericClass: String = "c", claimed: String? = nil
  ) {
    handle(
      .workerJoined(
        WorkerID(number),
        Introduction(
          name: "w\(number)", host: claimed ?? host, numericClass: numericClass,
          backbone: SHA256.hash([9]), roles: [.train, .serve]),
        PeerProof(Self.identity(host))))
  }

  /// Has a standing block trained again, by whoever of these gets the audit's lease.
  @discardableResult
  mutating func audit(_ key: BlockKey, artifact: Digest) -> WorkerID? {
    handle(.auditRequested(share: 1, seed: 1))
    for _ in 0..<100 {
      for id in coordinator.workers.keys.sorted() { handle(.workRequested(id)) }
      for lease in coordinator.leases.all {
        guard lease.key == key else {
          let standing = coordinator.state.blocks[lease.key]?.artifact
          handle(.uploaded(lease.worker, Self.upload(lease.key, lease.epoch, artifact: standing)))
          continue
        }
        handle(.uploaded(lease.worker, Self.upload(key, lease.epoch, artifact: artifact)))
        return lease.worker
      }
    }
    return nil
  }

  /// Every lease that is live, finished with an artifact that follows from its key.
  @discardableResult
  mutating func finishLeases() -> Int {
    let leases = coordinator.leases.all
    for lease in leases {
      handle(.uploaded(lease.worker, Self.upload(lease.key, lease.epoch)))
      handle(.workRequested(lease.worker))
    }
    return leases.count
  }

  static func upload(_ key: BlockKey, _ epoch: UInt64, artifact: Digest? = nil) -> Upload {
    Upload(
      epoch: epoch, key: key, artifact: artifact ?? SHA256.hash(key.digest.bytes), byteCount: 1,
      work: TrainingWork(steps: 1, examples: 1, seconds: 1, gemmSeconds: 1, finalLoss: 1))
  }

  mutating func trainAll() {
    handle(.trainingRequested)
    for id in coordinator.workers.keys.sorted() { handle(.workRequested(id)) }
    while finishLeases() > 0 {}
  }

  var trainedCount: Int {
    coordinator.state.plan.allSlots.count { coordinator.state.block(at: $0) != nil }
  }

  /// The state that a restart would find.
  func replayed(_ policy: RepairPolicy = .eager) throws -> RunState {
    var run = Self.run
    run.repairPolicy = policy
    var state = try RunState(run)
    state.apply(Self.ingestion)
    for entry in entries { state.apply(try JournalEntry(encoded: entry.encoded)) }
    state.refreshKeys()
    return state
  }
}

@Suite("Coordinator") struct CoordinatorTests {
  @Test("trains every block once, parents first")
  func trains() throws {
    var bench = try Bench()
    bench.join(1)
    bench.join(2)
    bench.trainAll()
    #expect(bench.trainedCount == 8)
    #expect(bench.entries.count { if case .committed = $0 { true } else { false } } == 8)
    #expect(bench.coordinator.state.servingView().map(\.depth) == [2, 2])
  }

  @Test("masks exactly the blocks at or after the slice's position, at once")
  func masks() throws {
    var bench = try Bench(.manual)
    bench.join(1)
    bench.trainAll()
    let before = bench.coordinator.state
    let view = before.servingView()
    let step = bench.handle(.deletionRequested(token: 3, Bench.wish([Bench.tag(0, 1, 0)])))
    #expect(step.effects.contains(.deletionDecided(3, .decided([.accepted(1)], blocksMasked: 3))))
    let state = bench.coordinator.state
    let masked = state.plan.allSlots.filter { state.block(at: $0) == nil }
    #expect(masked == state.plan.slots(dependingOn: SliceLocation(shard: 0, slice: 1)))
    #expect(state.servingView().map(\.depth) == [1, 2])
    #expect(!state.isCurrent(view), "an answer from the earlier view must be recomputed")
    #expect(state.isCurrent(state.servingView()))
  }

  @Test("tells accepted, duplicate and unknown apart")
  func outcomes() throws {
    var bench = try Bench()
    let (known, stranger) = (Bench.tag(0, 0, 0), RecordTag(SHA256.hash([0])))
    let first = bench.handle(.deletionRequested(token: 1, Bench.wish([known, stranger, known])))
    #expect(
      first.effects.contains(
        .deletionDecided(1, .decided([.accepted(1), .unknown, .duplicate(of: 1)], blocksMasked: 0)))
    )
    let second = bench.handle(.deletionRequested(token: 2, Bench.wish([known])))
    #expect(
      second.effects.contains(.deletionDecided(2, .decided([.duplicate(of: 1)], blocksMasked: 0))))
    #expect(second.entries.isEmpty, "a repeated request is no new fact")
  }

  @Test("cancels training that reads a deleted record, and refuses its late result")
  func lateResult() throws {
    var bench = try Bench()
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    let key = lease.key
    let slice = bench.coordinator.state.plan.slicesRead(by: lease.slot)[0]
    let step = bench.handle(
      .deletionRequested(token: 1, Bench.wish([Bench.tag(lease.slot.shard, slice, 1)])))
    #expect(step.effects.contains(.cancel(WorkerID(1), lease.epoch)))
    let late = bench.handle(.uploaded(WorkerID(1), Bench.upload(key, lease.epoch)))
    #expect(late.effects.contains(.refused(WorkerID(1), lease.epoch, .staleLease)))
    #expect(bench.coordinator.state.blocks[key] == nil)
  }

  @Test("purges once files are clean and every worker has forgotten, then repairs")
  func purgeAndRepair() throws {
    var bench = try Bench()
    bench.join(1)
    bench.join(2)
    bench.trainAll()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(1, 0, 2)])))
    #expect(bench.coordinator.state.deletions[0].purgedAt == nil)
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    #expect(bench.coordinator.state.deletions[0].purgedAt == nil, "worker 2 has not answered")
    bench.handle(.workerLeft(WorkerID(2)))
    #expect(bench.coordinator.state.deletions[0].purgedAt != nil)
    #expect(bench.coordinator.state.artifactsToPurge.isEmpty)
    bench.trainAll()
    #expect(bench.trainedCount == 8 && bench.coordinator.state.deletions[0].repairedAt != nil)
  }

  @Test(
    "repairs when its policy says so",
    arguments: [
      (RepairPolicy.eager, Milliseconds(0), true), (.manual, 10_000_000, false),
      (.batched(quiet: 5000, maximumAge: 60_000), 1000, false),
      (.batched(quiet: 5000, maximumAge: 60_000), 6000, true),
      (.depthBelow(1), 0, false), (.depthBelow(2), 0, true),
    ])
  func policies(policy: RepairPolicy, wait: Milliseconds, repairs: Bool) throws {
    var bench = try Bench(policy)
    bench.join(1)
    bench.trainAll()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
    // One that did not would be cut off.
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    bench.handle(.ticked, after: wait)
    #expect(!bench.coordinator.leases.isEmpty == repairs)
    bench.handle(.trainingRequested)
    #expect(!bench.coordinator.leases.isEmpty, "asking repairs under any policy")
  }

  @Test("repairs stop once the hour's slices are read, go on later, and at once if asked for")
  func budget() throws {
    var run = Bench.run
    run.repairPolicy = .eager
    run.repairBudget = 60
    var bench = try Bench(run: run, slices: Bench.slices)
    bench.join(1)
    bench.trainAll()
    #expect(bench.trainedCount == 8, "a first training is no repair")
    #expect(bench.coordinator.allowance.slicesLeft(at: bench.time) == 60)
    func mask(_ record: Int) {
      bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, record)])))
    }
    // Slice 0 of shard 0: one block of two slices, one of one and one of two: five slices, at most.
    var rounds = 0
    mask(0)
    while bench.finishLeases() > 0 { rounds += 1 }
    #expect(bench.trainedCount == 8 && rounds == 3)
    #expect(bench.coordinator.allowance.slicesLeft(at: bench.time) == 55)

    var tight = try Bench(
      run: {
        run.repairBudget = 2
        return run
      }(), slices: Bench.slices)
    tight.join(1)
    tight.trainAll()
    tight.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
    tight.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    while tight.finishLeases() > 0 {}
    #expect((5..<8).contains(tight.trainedCount))
    let waiting = tight.coordinator.state.plan.allSlots.filter {
      tight.coordinator.state.block(at: $0) == nil
        && tight.coordinator.waitingReason(of: $0) == .repairBudget
    }
    #expect(!waiting.isEmpty)
    tight.handle(.ticked, after: 30_000)
    #expect(tight.coordinator.leases.isEmpty, "a minute's worth has to come together")
    tight.handle(.ticked, after: 3_600_000)
    // The worker has been silent for an hour; what counts is that there is work again.
    tight.handle(.workRequested(WorkerID(1)))
    #expect(!tight.coordinator.leases.isEmpty)

    var asked = try Bench(run: run, slices: Bench.slices)
    asked.join(1)
    asked.trainAll()
    asked.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
    asked.handle(.trainingRequested)
    while asked.finishLeases() > 0 {}
    #expect(asked.trainedCount == 8)
  }

  @Test("a run's options are read back, and one without any has the bytes it always had")
  func options() throws {
    var run = Bench.run
    let plain = JournalEntry.created(run).encoded
    run.options = ShapeOptions(
      layersPerBlock: [1, 2], orders: [SliceSequence([1, 0]), SliceSequence([0, 1])],
      sliceThresholds: [0.25])
    run.repairBudget = 7
    let entry = JournalEntry.created(run)
    #expect(try JournalEntry(encoded: entry.encoded) == entry)
    #expect(entry.encoded.starts(with: plain.dropLast(8)), "only the policy's byte differs")
    #expect(entry.encoded.count > plain.count)
    let state = try RunState(run)
    #expect(try RunState(encoded: state.encoded).run == run)
    #expect(state.plan.sequences[0].order == [1, 0])
  }

  @Test(
    "a clock that was set back puts off no repair",
    arguments: [
      RepairPolicy.manual, .batched(quiet: 5000, maximumAge: 60_000), .depthBelow(1),
    ])
  func clockSetBack(policy: RepairPolicy) throws {
    var bench = try Bench(policy)
    bench.join(1)
    bench.trainAll()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
    bench.wallSetBack = 500_000
    bench.handle(.ticked, after: 5000)
    if case .batched = policy {
      #expect(!bench.coordinator.leases.isEmpty, "it is further than the quiet time from then")
    } else {
      #expect(bench.coordinator.leases.isEmpty)
      bench.handle(.trainingRequested)
      #expect(!bench.coordinator.leases.isEmpty, "asked for after it was masked, by whatever clock")
    }
    let state = bench.coordinator.state
    #expect(try RunState(encoded: state.encoded) == state)
  }

  @Test("bytes that come again and go again during a purge are the next purge's")
  func comeAgain() throws {
    var bench = try Bench()
    bench.join(1)
    bench.trainAll()
    let (key, other) = (
      try #require(bench.coordinator.state.blocks.keys.min()), SHA256.hash([42])
    )
    let artifact = try #require(bench.coordinator.state.blocks[key]).artifact
    bench.audit(key, artifact: other)
    bench.handle(.purgeFinished(throughDeletion: 0))
    #expect(bench.coordinator.purge?.order.artifacts == [artifact])

    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(1, 0, 0)])))
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    bench.handle(
      .uploaded(WorkerID(1), Bench.upload(lease.key, lease.epoch, artifact: artifact)))
    #expect(bench.coordinator.state.artifactUses[artifact] == 1)
    bench.audit(lease.key, artifact: other)
    #expect(bench.coordinator.state.artifactUses[artifact] == nil)

    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 0))
    let order = try #require(bench.coordinator.purge?.order)
    #expect(order.throughDeletion == 1 && order.artifacts.contains(artifact))
  }

  @Test("one key with two results is quarantined and raises an alarm")
  func quarantine() throws {
    var bench = try Bench()
    bench.join(1)
    bench.trainAll()
    let key = try #require(bench.coordinator.state.blocks.keys.min())
    // Bytes without a lease say nothing, whoever sends them.
    let stray = bench.handle(
      .uploaded(WorkerID(1), Bench.upload(key, 1, artifact: SHA256.hash([42]))))
    #expect(stray.entries.isEmpty && bench.coordinator.alarms.isEmpty)
    bench.audit(key, artifact: SHA256.hash([42]))
    #expect(bench.coordinator.state.blocks[key] == nil && bench.coordinator.alarms.count == 1)
    bench.handle(.ticked)
    #expect(bench.coordinator.leases[key] == nil, "it is not trained again")
  }

  @Test("workers of another numeric class get no work, and are told why")
  func numericClass() throws {
    var bench = try Bench()
    bench.handle(.classRequested("c"))
    bench.join(2, numericClass: "other")
    bench.trainAll()
    #expect(bench.trainedCount == 0 && !bench.coordinator.canTrain(WorkerID(2)))
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
    #expect(bench.coordinator.waitingReason(of: slot) == .noMatchingNumericClass)
  }

  @Test("a lease that is not renewed runs out, and its holder's result counts for nothing")
  func expiry() throws {
    var bench = try Bench()
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    let key = lease.key
    bench.handle(
      .heartbeat(WorkerID(1), epoch: lease.epoch, StageProgress(step: 1, totalSteps: 2)),
      after: 14_000)
    #expect(bench.coordinator.leases[key] != nil)
    bench.handle(.ticked, after: 15_001)
    #expect(bench.coordinator.leases[key] == nil)
    let late = bench.handle(.uploaded(WorkerID(1), Bench.upload(key, lease.epoch)))
    #expect(late.effects.contains(.refused(WorkerID(1), lease.epoch, .staleLease)))
  }

  @Test("an earlier attempt of the same worker at the same block is fenced off")
  func fencing() throws {
    var bench = try Bench()
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let old = try #require(bench.coordinator.leases.all.first)
    let key = old.key
    bench.handle(.ticked, after: Coordinator.leaseDuration + 1)
    // After the back-off of the failed attempt the block comes first again.
    bench.handle(.workRequested(WorkerID(1)), after: 2000)
    for _ in 0..<8 where bench.coordinator.leases[key] == nil {
      bench.finishLeases()
      bench.handle(.ticked, after: 2000)
    }
    let new = try #require(bench.coordinator.leases[key])
    #expect(new.epoch > old.epoch)
    let late = bench.handle(.uploaded(WorkerID(1), Bench.upload(key, old.epoch)))
    #expect(late.effects.contains(.refused(WorkerID(1), old.epoch, .staleLease)))
    let current = bench.handle(.uploaded(WorkerID(1), Bench.upload(key, new.epoch)))
    #expect(current.effects.contains(.accepted(WorkerID(1), new.epoch)))
  }

  @Test("a block that fails on two hosts, twice on each, is poisoned with its reason")
  func poison() throws {
    var bench = try Bench()
    bench.join(1, host: "one")
    bench.join(2, host: "two")
    bench.handle(.trainingRequested)
    for _ in 0..<400 {
      for id in [WorkerID(1), WorkerID(2)] { bench.handle(.workRequested(id)) }
      for lease in bench.coordinator.leases.all {
        bench.handle(
          .failed(lease.worker, epoch: lease.epoch, Failure(kind: .retryable, reason: "boom")))
        bench.handle(.workRequested(lease.worker))
      }
      bench.handle(.ticked, after: 61_000)
    }
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
    guard case .poisoned(let reason)? = bench.coordinator.waitingReason(of: slot) else {
      Issue.record("not poisoned")
      return
    }
    #expect(reason.contains("boom"))
  }

  @Test(
    "whatever happens, replay gives the live state and no stale block serves", arguments: 0..<48)
  func randomEvents(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var bench = try Bench()
    var uploads: [(WorkerID, Upload)] = []
    bench.handle(.trainingRequested)
    for step in UInt64(1)...250 {
      let id = WorkerID(UInt64.random(in: 1...3, using: &generator))
      switch Int.random(in: 0..<10, using: &generator) {
      case 0: bench.join(id.number, host: "h\(id.number)")
      case 1: bench.handle(.workerLeft(id))
      case 2, 3: bench.handle(.workRequested(id))
      case 4:
        let tags = bench.coordinator.records.tags.sorted()
        if let tag = tags.randomElement(using: &generator), step % 4 == 0 {
          bench.handle(.deletionRequested(token: step, Bench.wish([tag])))
        }
      case 5: bench.handle(.ticked, after: Milliseconds.random(in: 0...20_000, using: &generator))
      case 6:
        if let purge = bench.coordinator.purge {
          bench.erase(purge.order)
          bench.handle(.purgeFinished(throughDeletion: purge.order.throughDeletion))
          bench.handle(.purgeConfirmed(id, throughDeletion: purge.order.throughDeletion))
        }
      case 7:
        for lease in bench.coordinator.leases.all {
          uploads.append((lease.worker, Bench.upload(lease.key, lease.epoch)))
        }
      default:
        // Late, repeated and reordered results all come.
        if let upload = uploads.randomElement(using: &generator) {
          bench.handle(.uploaded(upload.0, upload.1))
        }
      }
      let state = bench.coordinator.state
      try #require(try bench.replayed() == state.durable)
      try #require(try RunState(encoded: state.encoded) == state.durable)
      for prefix in state.servingView() {
        for (index, artifact) in prefix.artifacts.enumerated() {
          let slot = BlockSlot(shard: prefix.shard, sequence: prefix.sequence, stage: index + 1)
          let key = try #require(state.expectedKeys[slot])
          try #require(artifact == SHA256.hash(key.digest.bytes), "a stale block serves")
        }
      }
      // Kept from one turn to the next, reports say what a look at every block says.
      let reports = bench.coordinator.refreshedReports()
      try #require(reports.compactMap(\.served) == state.servingView())
      let trained = state.plan.allSlots.count { state.block(at: $0) != nil }
      try #require(reports.reduce(0) { $0 + $1.trainedCount } == trained)
      try #require(
        bench.coordinator.waitingCounts(reports).values.reduce(0, +)
          == state.plan.allSlots.count {
            state.block(at: $0) == nil && bench.coordinator.waitingReason(of: $0) != .training
          })
      let holders = bench.coordinator.leases.all.map(\.worker)
      try #require(Set(holders).count == holders.count, "a worker holds two leases")
      let records = bench.coordinator.records
      try #require(Set(records.tags).isDisjoint(with: state.deletedTags.keys))
      try #require(records.count == state.recordCount && records.tags.count == records.count)
      let restarted = try bench.restartedRecords()
      try #require(restarted == records)
      try #require(Set(restarted.condemned).isSubset(of: records.condemned))
    }
  }
}
