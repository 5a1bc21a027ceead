import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// Who gets which block, and what becomes of leases, when workers differ, fail and vanish.
@Suite("Fleet") struct FleetTests {
  /// A bench with these workers, all waiting for work.
  private func bench(hosts: [String], training: Bool = true) throws -> Bench {
    var bench = try Bench()
    for (index, host) in hosts.enumerated() { bench.join(UInt64(index + 1), host: host) }
    if training { bench.handle(.trainingRequested) }
    return bench
  }

  private func grants(_ step: Step) -> [(WorkerID, LeaseGrant)] {
    step.effects.compactMap { if case .grant(let id, let grant) = $0 { (id, grant) } else { nil } }
  }

  @Test("shards that serve nothing come first, and workers spread over them")
  func fairness() throws {
    var bench = try bench(hosts: ["a", "a"])
    bench.handle(.workRequested(WorkerID(1)))
    bench.handle(.workRequested(WorkerID(2)))
    #expect(bench.coordinator.leases.all.map(\.slot.shard) == [0, 1])
    #expect(bench.coordinator.leases.all.map(\.slot.stage) == [1, 1])
  }

  @Test("a worker stays with the shard it has in memory while shards serve equally much")
  func locality() throws {
    var bench = try bench(hosts: ["a"])
    bench.handle(.workRequested(WorkerID(1)))
    var shards: [Int] = []
    while let lease = bench.coordinator.leases.all.first {
      shards.append(lease.slot.shard)
      bench.finishLeases()
    }
    // Depth decides first: 0 before its second block, then 1; at equal depth no needless change.
    #expect(shards.prefix(2) == [0, 1])
    let changes = zip(shards, shards.dropFirst()).count { $0 != $1 }
    #expect(changes <= 3, "\(shards)")
  }

  @Test("a failed block is tried on another host first, whoever asks")
  func otherHostFirst() throws {
    var bench = try bench(hosts: ["one", "two"])
    bench.handle(.workRequested(WorkerID(1)))
    let failed = try #require(bench.coordinator.leases.all.first)
    bench.handle(
      .failed(WorkerID(1), epoch: failed.epoch, Failure(kind: .retryable, reason: "x")))
    bench.handle(.ticked, after: 5_000)
    var seen: [BlockKey] = []
    for _ in 0..<8 {
      bench.handle(.workRequested(WorkerID(1)))
      guard let lease = bench.coordinator.leases.lease(of: WorkerID(1)) else { break }
      seen.append(lease.key)
      bench.handle(.uploaded(WorkerID(1), Bench.upload(lease.key, lease.epoch)))
    }
    #expect(!seen.contains(failed.key), "another host has not tried yet")
    bench.handle(.workRequested(WorkerID(2)))
    #expect(bench.coordinator.leases.lease(of: WorkerID(2))?.key == failed.key)
  }

  @Test("alone on its host a block that failed twice says that it needs another")
  func needsAnotherHost() throws {
    var bench = try bench(hosts: ["one"])
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
    let key = try #require(bench.coordinator.state.expectedKeys[slot])
    for _ in 0..<20 {
      bench.handle(.workRequested(WorkerID(1)), after: 61_001)
      if let lease = bench.coordinator.leases[key] {
        bench.handle(
          .failed(WorkerID(1), epoch: lease.epoch, Failure(kind: .retryable, reason: "boom")))
      } else {
        bench.finishLeases()
      }
    }
    bench.handle(.ticked, after: 61_000)
    guard case .otherHostNeeded(let reason)? = bench.coordinator.waitingReason(of: slot) else {
      Issue.record("\(String(describing: bench.coordinator.waitingReason(of: slot)))")
      return
    }
    #expect(reason.contains("boom"))
    // A worker from another host takes it up.
    bench.join(2, host: "two")
    bench.handle(.workRequested(WorkerID(2)))
    #expect(bench.coordinator.leases[key]?.worker == WorkerID(2))
  }

  @Test("eight workers of each of two keys lost without progress poison a block")
  func losses() throws {
    for makesProgress in [false, true] {
      var bench = try bench(hosts: [])
      let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
      let key = try #require(lostUntilPoisoned(&bench, slot, makesProgress: makesProgress))
      let isPoisoned = bench.coordinator.failures[key]?.isPoisoned ?? false
      #expect(isPoisoned == !makesProgress)
    }
  }

  private func lostUntilPoisoned(_ bench: inout Bench, _ slot: BlockSlot, makesProgress: Bool)
    -> BlockKey?
  {
    var key: BlockKey?
    // From two keys in turn: one alone says nothing.
    for number in UInt64(1)...160 {
      bench.join(number, host: "h\(number % 2)")
      bench.handle(.workRequested(WorkerID(number)), after: 61_000)
      key = bench.coordinator.state.expectedKeys[slot]
      if let lease = bench.coordinator.leases.lease(of: WorkerID(number)), lease.key == key {
        if makesProgress {
          let checkpoint = StageCheckpoint(
            step: UInt32(number), digest: SHA256.hash([UInt8(number)]))
          bench.handle(
            .checkpointed(WorkerID(number), epoch: lease.epoch, lease.key, checkpoint))
        }
      }
      bench.handle(.workerLeft(WorkerID(number)))
    }
    return key
  }

  @Test("the next attempt goes on from the last checkpoint, an audit never does")
  func checkpoints() throws {
    var bench = try bench(hosts: ["a", "b"])
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    let (first, second) = (
      StageCheckpoint(step: 5, digest: SHA256.hash([1])),
      StageCheckpoint(step: 9, digest: SHA256.hash([2]))
    )
    bench.handle(.checkpointed(WorkerID(1), epoch: lease.epoch, lease.key, first))
    let step = bench.handle(.checkpointed(WorkerID(1), epoch: lease.epoch, lease.key, second))
    #expect(step.effects.contains(.discardCheckpoint(lease.key, first)), "one is kept")
    let stray = StageCheckpoint(step: 11, digest: SHA256.hash([3]))
    let late = bench.handle(.checkpointed(WorkerID(2), epoch: lease.epoch, lease.key, stray))
    #expect(late.effects.contains(.discardCheckpoint(lease.key, stray)), "not the holder's")
    bench.handle(.workerLeft(WorkerID(1)))
    let next = bench.handle(.workRequested(WorkerID(2)), after: 5_000)
    let grant = try #require(grants(next).first { $0.1.assignment.key == lease.key }?.1)
    #expect(grant.checkpoint == second)
    let done = bench.handle(
      .uploaded(WorkerID(2), Bench.upload(lease.key, grant.epoch)))
    #expect(done.effects.contains(.discardCheckpoint(lease.key, second)))
  }

  @Test("a deletion discards the checkpoints of the blocks it touches, and of no other")
  func deletedCheckpoints() throws {
    var bench = try bench(hosts: ["a", "b"])
    bench.handle(.workRequested(WorkerID(1)))
    bench.handle(.workRequested(WorkerID(2)))
    let leases = bench.coordinator.leases.all
    for lease in leases {
      bench.handle(
        .checkpointed(
          lease.worker, epoch: lease.epoch, lease.key,
          StageCheckpoint(step: 1, digest: SHA256.hash(lease.key.digest.bytes))))
    }
    let slice = bench.coordinator.state.plan.slicesRead(by: leases[0].slot)[0]
    let step = bench.handle(
      .deletionRequested(
        token: 1, Bench.wish([Bench.tag(leases[0].slot.shard, slice, 0)])))
    let discarded = step.effects.compactMap { effect -> BlockKey? in
      if case .discardCheckpoint(let key, _) = effect { key } else { nil }
    }
    #expect(discarded == [leases[0].key])
    #expect(bench.coordinator.checkpoints[leases[1].key] != nil)
  }

  @Test("checkpoints of an earlier process are taken over if their keys are still wanted")
  func adoptedCheckpoints() throws {
    var state = try RunState(Bench.run)
    state.apply(Bench.ingestion)
    state.apply(.numericClassPinned("c"))
    state.refreshKeys()
    let wanted = try #require(
      state.expectedKeys[BlockSlot(shard: 0, sequence: 0, stage: 1)])
    let unwanted = BlockKey(SHA256.hash([1]))
    let checkpoint = StageCheckpoint(step: 3, digest: SHA256.hash([2]))
    let memory = TableMemory(Bench.slices, of: state.plan, binding: SHA256.hash([8]))
    var coordinator = Coordinator(
      state, records: try RecordIndex(try memory.table(), state),
      checkpoints: [wanted: checkpoint, unwanted: checkpoint])
    let step = coordinator.handle(.started, at: Moment(monotonic: 1, wall: 1))
    #expect(coordinator.checkpoints.keys.map { $0 } == [wanted])
    #expect(step.effects.contains(.discardCheckpoint(unwanted, checkpoint)))
  }

  @Test("a straggler gets company within the budget, and the first verified result wins")
  func speculation() throws {
    var bench = try Bench(shards: 30, trainedBlocks: 119)
    let straggler = try #require(bench.coordinator.leases.lease(of: WorkerID(1)))
    bench.handle(
      .checkpointed(
        WorkerID(1), epoch: straggler.epoch, straggler.key,
        StageCheckpoint(step: 1, digest: SHA256.hash([1]))))
    bench.handle(.workRequested(WorkerID(2)))
    #expect(bench.coordinator.leases.lease(of: WorkerID(2)) == nil, "nothing is left")
    bench.handle(.ticked, after: 1_500)
    #expect(bench.coordinator.leases.lease(of: WorkerID(2)) == nil, "not late yet")
    let second = bench.handle(.ticked, after: 1_500)
    #expect(grants(second).map(\.1.checkpoint) == [nil], "a second opinion begins anew")
    let helper = try #require(bench.coordinator.leases.lease(of: WorkerID(2)))
    #expect(helper.key == straggler.key && helper.purpose == .speculation)
    let win = bench.handle(
      .uploaded(WorkerID(2), Bench.upload(helper.key, helper.epoch)))
    #expect(win.effects.contains(.accepted(WorkerID(2), helper.epoch)))
    #expect(win.effects.contains(.cancel(WorkerID(1), straggler.epoch)))
    let late = bench.handle(
      .uploaded(WorkerID(1), Bench.upload(straggler.key, straggler.epoch)))
    #expect(late.effects.contains(.refused(WorkerID(1), straggler.epoch, .confirmed)))
    #expect(bench.coordinator.alarms.isEmpty)
  }

  @Test("a second worker costs at most a twentieth of the work done")
  func speculationBudget() throws {
    var bench = try Bench(shards: 5, trainedBlocks: 19)
    bench.handle(.workRequested(WorkerID(2)))
    bench.handle(.ticked, after: 10_000)
    #expect(
      bench.coordinator.leases.lease(of: WorkerID(2)) == nil,
      "nineteen seconds of work do not pay for one more")
  }

  @Test("a draining worker gets nothing more, and its going is nobody's fault")
  func draining() throws {
    var bench = try bench(hosts: ["a"])
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    bench.handle(.draining(WorkerID(1)))
    bench.handle(
      .failed(WorkerID(1), epoch: lease.epoch, Failure(kind: .cancelled, reason: "drained")))
    bench.handle(.workRequested(WorkerID(1)))
    #expect(bench.coordinator.leases.isEmpty && bench.coordinator.failures.isEmpty)
    bench.handle(.workerLeft(WorkerID(1)))
    #expect(bench.coordinator.failures.isEmpty)
    bench.join(2)
    bench.handle(.workRequested(WorkerID(2)))
    #expect(bench.coordinator.leases[lease.key]?.worker == WorkerID(2), "at once")
  }

  @Test("a heartbeat of a live lease is heard, of any other it is cancelled")
  func heartbeats() throws {
    var bench = try bench(hosts: ["a", "b"])
    bench.handle(.workRequested(WorkerID(1)))
    let epoch = try #require(bench.coordinator.leases.all.first).epoch
    let progress = StageProgress(step: 1, totalSteps: 2)
    func answer(_ id: UInt64, _ epoch: UInt64) -> [Effect] {
      bench.handle(.heartbeat(WorkerID(id), epoch: epoch, progress)).effects
    }
    #expect(answer(1, epoch) == [.heard(WorkerID(1), epoch)])
    #expect(answer(2, epoch) == [.cancel(WorkerID(2), epoch)])
    #expect(answer(1, epoch + 1) == [.cancel(WorkerID(1), epoch + 1)])
    #expect(answer(2, 0) == [.heard(WorkerID(2), 0)])
  }
}

extension Bench {
  /// A run of many shards with two empty slices each, on which the first of two workers has trained
  /// blocks, a second each, and holds the lease of one more.
  fileprivate init(shards: Int, trainedBlocks: Int) throws {
    var run = Self.run
    run.shardCount = shards
    try self.init(
      run: run,
      slices: (0..<shards).flatMap { shard in
        (0..<2).map { slice in
          IngestedSlice(location: SliceLocation(shard: shard, slice: slice), records: [])
        }
      })
    join(1, host: "one")
    join(2, host: "two")
    handle(.trainingRequested)
    handle(.workRequested(WorkerID(1)))
    for _ in 0..<trainedBlocks {
      let lease = try #require(coordinator.leases.lease(of: WorkerID(1)))
      handle(.uploaded(WorkerID(1), Self.upload(lease.key, lease.epoch)), after: 1_000)
      handle(.workRequested(WorkerID(1)))
    }
  }
}
