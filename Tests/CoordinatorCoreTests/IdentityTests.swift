import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// Identity is the key: what a peer says of itself counts for no more than its display.
@Suite("Identity") struct IdentityTests {
  static let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)

  private func fail(
    _ bench: inout Bench, _ id: WorkerID, _ kind: Failure.Kind, after pause: Milliseconds = 1
  ) -> Bool {
    bench.handle(.workRequested(id), after: pause)
    bench.effects = []
    guard let lease = bench.coordinator.leases.lease(of: id) else { return false }
    bench.handle(.failed(id, epoch: lease.epoch, Failure(kind: kind, reason: "boom")))
    return true
  }

  struct Verdict: Sendable {
    var keys: [String]
    var kind: Failure.Kind
    var isPoisoned: Bool
    var because: String
  }

  static let verdicts = [
    Verdict(keys: ["a"], kind: .retryable, isPoisoned: false, because: "one key, two hosts"),
    Verdict(keys: ["a"], kind: .host, isPoisoned: false, because: "one key's word for its host"),
    Verdict(keys: ["a"], kind: .fatal, isPoisoned: false, because: "one key's word for everybody"),
    Verdict(keys: ["a", "b"], kind: .fatal, isPoisoned: true, because: "two keys say so"),
    Verdict(keys: ["a", "b"], kind: .retryable, isPoisoned: true, because: "two keys, twice each"),
  ]

  @Test("one key never poisons a block, whatever hosts it claims", arguments: verdicts)
  func poison(_ verdict: Verdict) throws {
    var bench = try Bench()
    // Two connections of each key, each with a host name of its own.
    for (index, key) in verdict.keys.enumerated() {
      for turn in 0..<2 {
        bench.join(UInt64(2 * index + turn + 1), host: key, claimed: "host \(index) \(turn)")
      }
    }
    bench.handle(.trainingRequested)
    for _ in 0..<60 {
      for id in bench.coordinator.workers.keys.sorted() { _ = fail(&bench, id, verdict.kind) }
      bench.handle(.ticked, after: 61_000)
    }
    let isPoisoned = bench.coordinator.failures.values.contains(where: \.isPoisoned)
    #expect(isPoisoned == verdict.isPoisoned, "\(verdict.because)")
  }

  @Test("a key that is alone tries again ever more rarely, and says why it waits")
  func alone() throws {
    var bench = try Bench()
    bench.join(1)
    bench.handle(.trainingRequested)
    var attempts: [Milliseconds] = []
    for _ in 0..<(4 * 3_600) {
      bench.handle(.workRequested(WorkerID(1)), after: 1_000)
      guard let lease = bench.coordinator.leases.lease(of: WorkerID(1)) else { continue }
      if lease.slot == Self.slot { attempts.append(bench.time) }
      bench.handle(
        .failed(WorkerID(1), epoch: lease.epoch, Failure(kind: .retryable, reason: "disk full")))
    }
    #expect((8...40).contains(attempts.count), "\(attempts.count) in four hours")
    let pauses = zip(attempts.dropFirst(), attempts).map { $0 - $1 }
    #expect(pauses.max() ?? 0 <= Milliseconds(1_000_000), "it never gives up")
    let reason = bench.coordinator.waitingReason(of: Self.slot)
    #expect(reason?.word == "needs_another_host: w1: disk full" || reason == .backoff)
    // Once the disk has room the block comes to stand.
    for _ in 0..<2_000 where bench.trainedCount < 8 {
      bench.handle(.workRequested(WorkerID(1)), after: 1_000)
      bench.finishLeases()
    }
    #expect(bench.trainedCount == 8)
  }

  @Test("who ends leases without results has to rest, so that nothing goes round in a hot loop")
  func rests() throws {
    for kind in [Failure.Kind.retryable, .host, .fatal, .cancelled] {
      var bench = try Bench(
        run: Bench.wide(shards: 200), slices: Bench.slices(of: Bench.wide(shards: 200)))
      bench.join(1)
      bench.handle(.trainingRequested)
      var count = 0
      // A minute of messages without a pause.
      for _ in 0..<3_000 where fail(&bench, WorkerID(1), kind, after: 20) { count += 1 }
      #expect(count <= 12, "\(kind) was said \(count) times in a minute")
      // A result, and the key begins anew.
      bench.handle(.workRequested(WorkerID(1)), after: 60_000)
      bench.finishLeases()
      #expect(bench.coordinator.troubles.isEmpty)
    }
  }

  // MARK: - Audits and disputes

  /// A trained run of key a's, which has left.
  static func trained() throws -> (bench: Bench, key: BlockKey) {
    var bench = try Bench()
    bench.join(1, host: "a")
    bench.trainAll()
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
    return (bench, try #require(bench.coordinator.state.expectedKeys[slot]))
  }

  @Test("an audit is independent by another key alone, not by another name")
  func independence() throws {
    for (host, repeated) in [("a", 8), ("b", 0)] {
      var (bench, _) = try Self.trained()
      bench.join(2, host: host, claimed: "elsewhere")
      bench.handle(.auditRequested(share: 1, seed: 1))
      for _ in 0..<20 {
        for id in [WorkerID(1), WorkerID(2)] { bench.handle(.workRequested(id)) }
        for lease in bench.coordinator.leases.all where lease.purpose == .audit && host == "b" {
          #expect(lease.worker == WorkerID(2), "whoever trained it does not check it")
        }
        bench.finishLeases()
      }
      let audit = bench.coordinator.audit
      #expect(audit.checked == 8 && audit.matched == 8 && audit.repeated == repeated)
    }
  }

  @Test("one lying key cannot lose an honest block: a third key decides")
  func dispute() throws {
    var (bench, key) = try Self.trained()
    let truth = SHA256.hash(key.digest.bytes)
    let children = bench.trainedCount
    bench.join(2, host: "liar")
    #expect(bench.audit(key, artifact: SHA256.hash([66])) == WorkerID(2))
    #expect(bench.coordinator.state.block(at: Self.slot) == nil, "in doubt it serves nobody")
    #expect(bench.coordinator.state.quarantinedKeys.isEmpty)
    for id in [WorkerID(1), WorkerID(2)] { bench.handle(.workRequested(id), after: 90_000) }
    #expect(bench.coordinator.leases[key] == nil, "a party to it does not decide")
    #expect(
      bench.coordinator.waitingReason(of: Self.slot)?.word.hasPrefix("needs_another_host: keys")
        == true)
    #expect(try bench.replayed() == bench.coordinator.state)
    let state = bench.coordinator.state
    #expect(try RunState(encoded: state.encoded) == state)
    bench.join(3, host: "third")
    bench.handle(.workRequested(WorkerID(3)))
    bench.finishLeases()
    #expect(bench.coordinator.state.block(at: Self.slot)?.artifact == truth)
    #expect(bench.coordinator.state.disputes.isEmpty)
    #expect(bench.trainedCount == children, "what was trained on it stands again with it")
  }

  @Test("a lie that stood goes with everything that was trained on it")
  func lieThatStood() throws {
    var bench = try Bench()
    bench.join(1, host: "liar")
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let first = try #require(bench.coordinator.leases.all.first)
    let slot = first.slot
    bench.handle(
      .uploaded(
        WorkerID(1), Bench.upload(first.key, first.epoch, artifact: SHA256.hash([66]))))
    bench.trainAll()
    #expect(bench.trainedCount == 8)
    for (number, host) in [(UInt64(2), "b"), (3, "c")] { bench.join(number, host: host) }
    let truth = SHA256.hash(first.key.digest.bytes)
    #expect(bench.audit(first.key, artifact: truth) != WorkerID(1))
    let child = BlockSlot(shard: slot.shard, sequence: slot.sequence, stage: 2)
    let commits = bench.entries.count
    for _ in 0..<10 {
      for id in bench.coordinator.workers.keys.sorted() { bench.handle(.workRequested(id)) }
      bench.finishLeases()
    }
    #expect(bench.coordinator.state.block(at: slot)?.artifact == truth)
    let retrained = bench.entries[commits...].contains { entry in
      if case .committed(let block) = entry { block.slot == child } else { false }
    }
    #expect(retrained, "a child of the lie must not serve on the truth")
    #expect(bench.trainedCount == 8)
    #expect(try bench.replayed() == bench.coordinator.state)
  }

  @Test("three keys with three results quarantine a block; asking for training hears all anew")
  func threeResults() throws {
    var (bench, key) = try Self.trained()
    bench.join(2, host: "b")
    bench.audit(key, artifact: SHA256.hash([66]))
    var asked = bench
    bench.join(3, host: "c")
    bench.handle(.workRequested(WorkerID(3)))
    let lease = try #require(bench.coordinator.leases[key])
    let step = bench.handle(
      .uploaded(WorkerID(3), Bench.upload(key, lease.epoch, artifact: SHA256.hash([67]))))
    #expect(step.effects.contains(.refused(WorkerID(3), lease.epoch, .disputed)))
    #expect(bench.coordinator.state.quarantinedKeys == [key])
    asked.handle(.trainingRequested)
    asked.handle(.workRequested(WorkerID(1)))
    #expect(asked.coordinator.leases[key]?.worker == WorkerID(1))
    asked.finishLeases()
    #expect(asked.coordinator.state.block(at: Self.slot) != nil)
  }

  @Test("an audit that nobody can carry out ends with an alarm, and goes round in no hot loop")
  func auditBudget() throws {
    var (bench, _) = try Self.trained()
    bench.join(2, host: "b")
    bench.handle(.auditRequested(share: 1, seed: 1))
    var count = 0
    for _ in 0..<6_000 where fail(&bench, WorkerID(2), .retryable, after: 100) { count += 1 }
    let audit = bench.coordinator.audit
    #expect(count == 8 * Coordinator.auditAttempts && audit.waiting.isEmpty)
    #expect(audit.abandoned == 8 && bench.coordinator.alarms.count == 8)
    #expect(bench.coordinator.alarms[0].contains("given up after 3 attempts: boom"))
    #expect(bench.trainedCount == 8 && bench.coordinator.failures.isEmpty)
  }
}

extension Bench {
  static func wide(shards: Int) -> RunDescription {
    var run = Bench.run
    run.shardCount = shards
    return run
  }

  static func slices(of run: RunDescription) -> [IngestedSlice] {
    (0..<run.shardCount).flatMap { shard in
      (0..<run.sliceCount).map {
        IngestedSlice(location: SliceLocation(shard: shard, slice: $0), records: [])
      }
    }
  }
}
