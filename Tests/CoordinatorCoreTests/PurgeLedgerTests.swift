import CoordinatorCore
import Hashing
import Ledger
import Testing
import Unlearning

@Suite("A purge as a ledger of places") struct PurgeLedgerTests {
  private static let deletion = Event.deletionRequested(
    token: 1, Bench.wish([Bench.tag(0, 1, 0)]))

  /// A trained run with a deletion whose purge has begun.
  private func purging(workers: UInt64 = 1) throws -> Bench {
    var bench = try Bench(.manual)
    for number in 1...workers { bench.join(number) }
    bench.trainAll()
    bench.handle(Self.deletion)
    bench.erase(try #require(bench.coordinator.purge?.order))
    return bench
  }

  private func isPurged(_ bench: Bench, _ number: Int = 1) -> Bool {
    bench.coordinator.state.deletions[number - 1].purgedAt != nil
  }

  private func erasure(_ bench: Bench) -> [String: ErasureLevel] {
    let claims = bench.coordinator.state.deletions[0].erasure
    return Dictionary(uniqueKeysWithValues: claims.map { ($0.location, $0.level) })
  }

  private func repair(_ bench: inout Bench) {
    if bench.coordinator.workers.isEmpty { bench.join(99) }
    bench.trainAll()
  }

  // MARK: - Peers

  @Test("a worker that says nothing is cut off in time, and the receipt does not claim its memory")
  func mute() throws {
    var bench = try purging(workers: 2)
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    let early = bench.handle(.ticked, after: Coordinator.confirmationLimit - 1_000)
    #expect(!isPurged(bench) && !early.effects.contains { $0.isCutOff })
    let late = bench.handle(.ticked, after: 1_000)
    #expect(
      late.effects.contains {
        if case .cutOff(WorkerID(2), _) = $0 { true } else { false }
      })
    #expect(late.entries.first == .workersCutOff(throughDeletion: 1, count: 1, at: bench.time))
    #expect(isPurged(bench))
    #expect(bench.coordinator.workers.keys.sorted() == [WorkerID(1)])
    repair(&bench)
    #expect(bench.coordinator.state.deletions[0].state == .certified)
    #expect(erasure(bench)["workers"] == .unreachable)
    #expect(erasure(bench)["slices"] == .unlinked && erasure(bench)["exports"] == .unlinked)
  }

  @Test("what a worker that was cut off still says changes nothing, and its bytes go")
  func afterwards() throws {
    var bench = try purging()
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(
      .heartbeat(WorkerID(1), epoch: lease.epoch, StageProgress(step: 1, totalSteps: 2)),
      after: 11_000)
    bench.handle(.ticked, after: 1_500)
    #expect(bench.coordinator.workers.isEmpty && bench.coordinator.leases.all.isEmpty)
    let upload = Bench.upload(lease.key, lease.epoch)
    let step = bench.handle(.uploaded(WorkerID(1), upload))
    #expect(step.entries.isEmpty && step.effects == [.discard(upload.artifact)])
    #expect(bench.handle(.workRequested(WorkerID(1))).effects.isEmpty)
    #expect(bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1)).entries.isEmpty)
    #expect(bench.handle(.workerLeft(WorkerID(1))).entries.isEmpty)
  }

  @Test("a deletion that came while a purge waited cannot claim that worker's memory either")
  func laterDeletion() throws {
    var bench = try purging()
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(1, 1, 0)])))
    bench.handle(.ticked, after: Coordinator.confirmationLimit)
    #expect(isPurged(bench) && bench.coordinator.state.deletions[1].workersCutOff == 1)
    let replayed = try bench.replayed(.manual)
    #expect(replayed == bench.coordinator.state)
    // A snapshot says so too, for as long as it matters.
    #expect(try RunState(encoded: replayed.encoded) == replayed)
    let order = try #require(bench.coordinator.purge?.order)
    bench.erase(order)
    bench.handle(.purgeFinished(throughDeletion: 2))
    repair(&bench)
    #expect(bench.coordinator.state.openDeletions.isEmpty)
    let state = bench.coordinator.state
    #expect(
      try RunState(encoded: state.encoded).deletions.map(\.erasure)
        == state.deletions.map(\.erasure))
  }

  @Test("whoever comes and goes and never confirms, every purge ends in time", arguments: 0..<40)
  func bound(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var bench = try Bench(.manual)
    var nextWorker: UInt64 = 1
    var nextRecord = 0
    bench.join(0)
    bench.trainAll()
    while bench.time < 1_400_000 {
      bench.handle(.ticked, after: 250)
      if Int.random(in: 0..<20, using: &random) == 0 {
        bench.join(nextWorker)
        nextWorker += 1
      }
      if Int.random(in: 0..<60, using: &random) == 0,
        let id = bench.coordinator.workers.keys.sorted().randomElement(using: &random)
      {
        bench.handle(.workerLeft(id))
      }
      if Int.random(in: 0..<90, using: &random) == 0, nextRecord < 12 {
        let tag = Bench.tag(nextRecord % 2, nextRecord / 2 % 2, nextRecord / 4)
        bench.handle(.deletionRequested(token: 1, Bench.wish([tag])))
        nextRecord += 1
      }
      // Files are clean a second later.
      if let purge = bench.coordinator.purge,
        bench.time - purge.startedAt.monotonic >= 1_000
      {
        bench.erase(purge.order)
        bench.handle(.purgeFinished(throughDeletion: purge.order.throughDeletion))
      }
      for deletion in bench.coordinator.state.deletions {
        try #require((deletion.purgedAt ?? bench.time) - deletion.acceptedAt <= 30_000)
      }
    }
    #expect(nextRecord > 3)
  }

  // MARK: - Places of our own

  @Test("a place that fails is tried again by itself, later each time, and keeps no other waiting")
  func retries() throws {
    var bench = try purging()
    let order = try #require(bench.coordinator.purge?.order)
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    for place in PurgePlace.own where place != .journal {
      bench.handle(.purgeReported(place, throughDeletion: 1, problem: nil))
    }
    bench.handle(.purgeReported(.journal, throughDeletion: 1, problem: "no space"))
    #expect(!isPurged(bench))
    let waits = bench.coordinator.waits(of: bench.coordinator.state.deletions[0])
    #expect(waits.map(\.place) == ["journal", "repair"])
    #expect(waits[0].reason == "no space" && waits[0].state == "waiting" && waits[0].isOwn)
    #expect(bench.coordinator.purgeAlarms.count == 1)
    for pause in [1_000, 2_000, 4_000] as [Milliseconds] {
      #expect(bench.handle(.ticked, after: pause - 500).effects.isEmpty)
      #expect(bench.handle(.ticked, after: 500).effects == [.purgeAgain(order, .journal)])
      bench.handle(.purgeReported(.journal, throughDeletion: 1, problem: "no space"), after: 0)
    }
    // However long it takes: the run's directory is ours.
    bench.handle(.ticked, after: 3_600_000)
    #expect(!isPurged(bench))
    bench.handle(.purgeReported(.journal, throughDeletion: 1, problem: nil))
    #expect(isPurged(bench) && bench.coordinator.purgeAlarms.isEmpty)
  }

  // MARK: - Exports

  private static let path = "/srv/exports/shard0"

  /// A trained run with an export of what shard 0 serves, and a deletion that masks it.
  private func exported() throws -> (bench: Bench, copy: OutsideCopy) {
    var bench = try Bench(.manual)
    bench.join(1)
    bench.trainAll()
    let view = try #require(bench.coordinator.state.servingView().first)
    let copy = OutsideCopy(kind: .export, path: Self.path, artifacts: view.artifacts, at: 5)
    bench.handle(.copied(copy))
    // Every block of the shard depends on one of its slices.
    let step = bench.handle(
      .deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0), Bench.tag(0, 1, 0)])))
    #expect(step.effects.contains(.removeExport(copy)))
    bench.erase(try #require(bench.coordinator.purge?.order))
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    #expect(!isPurged(bench))
    return (bench, copy)
  }

  @Test("a purge ends with an export's removal")
  func removed() throws {
    var (bench, copy) = try exported()
    let step = bench.handle(.exportReported(copy, problem: nil))
    #expect(step.entries.first == .copyRemoved(path: Self.path, at: bench.time))
    #expect(isPurged(bench) && bench.coordinator.state.copies.isEmpty)
    repair(&bench)
    #expect(erasure(bench)["exports"] == .unlinked)
  }

  @Test("an export out of reach is said to be, and tried again until it is gone")
  func outOfReach() throws {
    var (bench, copy) = try exported()
    bench.handle(.exportReported(copy, problem: "not a folder"))
    #expect(!isPurged(bench))
    #expect(bench.handle(.ticked, after: 1_000).effects.contains(.removeExport(copy)))
    bench.handle(.exportReported(copy, problem: "not a folder"))
    #expect(isPurged(bench))
    #expect(bench.coordinator.purgeAlarms.contains { $0.contains(Self.path) })
    repair(&bench)
    #expect(erasure(bench)["exports"] == .unreachable)
    // Later purges do not wait for it.
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(1, 1, 0)])))
    #expect(bench.coordinator.purge?.order.exports == [])
    // A restart looks again.
    var restarted = Coordinator(try bench.replayed(.manual), records: try bench.restartedRecords())
    let start = restarted.handle(.started, at: Moment(monotonic: 1, wall: 1))
    #expect(start.effects.contains(.removeExport(copy)))
    #expect(bench.handle(.ticked, after: 2_000).effects.contains(.removeExport(copy)))
    bench.handle(.exportReported(copy, problem: nil))
    #expect(bench.coordinator.state.copies.isEmpty && bench.coordinator.purgeAlarms.isEmpty)
  }

  @Test("an export that never answers holds a purge up for no longer than a peer")
  func silentExport() throws {
    var (bench, _) = try exported()
    bench.handle(.ticked, after: Coordinator.confirmationLimit - 1_000)
    #expect(!isPurged(bench))
    bench.handle(.ticked, after: 1_000)
    #expect(isPurged(bench))
    #expect(bench.coordinator.purgeAlarms.contains { $0.contains("has not answered") })
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(1, 1, 0)])))
    #expect(bench.coordinator.purge?.order.exports == [], "once is enough")
  }

  @Test("an operator's word ends the search for an export, and a new one there is left alone")
  func forgotten() throws {
    var (bench, copy) = try exported()
    bench.handle(.copyRemoved(path: Self.path))
    #expect(isPurged(bench) && bench.coordinator.exportRemovals.isEmpty)
    repair(&bench)
    #expect(erasure(bench)["exports"] == .unlinked)
    let fresh = OutsideCopy(
      kind: .export, path: Self.path,
      artifacts: try #require(bench.coordinator.state.servingView().first).artifacts, at: 9)
    bench.handle(.copied(fresh))
    #expect(bench.handle(.exportReported(copy, problem: nil)).entries.isEmpty)
    #expect(bench.coordinator.state.copies[Self.path] == fresh)
  }

  @Test("an export that comes after its blocks were masked is removed at once")
  func lateExport() throws {
    var bench = try purging()
    let gone = try #require(bench.coordinator.purge?.order.artifacts.first)
    let copy = OutsideCopy(kind: .export, path: Self.path, artifacts: [gone], at: 5)
    #expect(bench.handle(.copied(copy)).effects.contains(.removeExport(copy)))
  }
}

extension Effect {
  var isCutOff: Bool { if case .cutOff = self { true } else { false } }
}
