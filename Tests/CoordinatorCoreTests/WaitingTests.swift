import CoordinatorCore
import Testing
import Unlearning

/// How long blocks have only lacked a worker: what alerts and autoscaling go by.
@Suite("Waiting") struct WaitingTests {
  private func wait(_ bench: inout Bench) -> Milliseconds? {
    bench.coordinator.longestWait(bench.coordinator.refreshedReports())
  }

  private func delete(_ bench: inout Bench) {
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
  }

  @Test("counts from the request to train until the last block has a worker")
  func firstTraining() throws {
    var bench = try Bench()
    bench.handle(.ticked, after: 5_000)
    #expect(wait(&bench) == nil, "nobody asked for training")
    bench.handle(.trainingRequested)
    bench.handle(.ticked, after: 10_000)
    #expect(wait(&bench) == 10_000, "there is no worker")
    bench.handle(.trainingRequested)
    #expect(wait(&bench) == 10_001, "asking again does not begin anew")
    bench.join(1)
    bench.handle(.workRequested(WorkerID(1)))
    bench.handle(.ticked, after: 10_000)
    #expect(wait(&bench) == 20_003, "the others still wait")
    while bench.finishLeases() > 0 {}
    #expect(wait(&bench) == nil)
  }

  @Test("a block waits from its parent's commit, not from the beginning")
  func parents() throws {
    var bench = try Bench()
    bench.handle(.trainingRequested)
    for number in UInt64(1)...4 {
      bench.join(number)
      bench.handle(.workRequested(WorkerID(number)))
    }
    let first = try #require(bench.coordinator.leases.all.first)
    #expect(bench.coordinator.leases.count == 4 && wait(&bench) == nil, "the rest lack parents")
    bench.handle(.uploaded(first.worker, Bench.upload(first.key, first.epoch)), after: 60_000)
    bench.handle(.ticked, after: 3_000)
    // Nobody renewed the other three, which wait since their leases ran out and back off first.
    #expect(bench.coordinator.leaseTroubles.expired == 3)
    #expect(wait(&bench) == 3_000)
  }

  struct Row: Sendable {
    let policy: RepairPolicy
    let after: Milliseconds
    let waits: Milliseconds?
    let because: String
  }

  static let rows: [Row] = [
    Row(policy: .eager, after: 4_000, waits: 4_000, because: "due at once"),
    Row(
      policy: .batched(quiet: 5_000, maximumAge: 60_000), after: 4_000, waits: nil,
      because: "not due"),
    Row(
      policy: .batched(quiet: 5_000, maximumAge: 60_000), after: 7_000, waits: 2_000,
      because: "due two seconds ago"),
    Row(policy: .manual, after: 90_000, waits: nil, because: "nobody asked"),
    Row(policy: .depthBelow(1), after: 90_000, waits: nil, because: "the shard serves enough"),
  ]

  @Test("a repair waits from when it is due", arguments: rows)
  func repairs(row: Row) throws {
    var bench = try Bench(row.policy)
    bench.join(1)
    bench.trainAll()
    bench.handle(.workerLeft(WorkerID(1)))
    delete(&bench)
    bench.handle(.ticked, after: row.after)
    #expect(wait(&bench) == row.waits, "\(row.because)")
  }

  @Test("a repair that somebody has to ask for waits from then")
  func requestedRepair() throws {
    var bench = try Bench(.manual)
    bench.join(1)
    bench.trainAll()
    bench.handle(.workerLeft(WorkerID(1)))
    delete(&bench)
    bench.handle(.trainingRequested, after: 90_000)
    bench.handle(.ticked, after: 3_000)
    #expect(wait(&bench) == 3_000)
    bench.wallSetBack = 1_000_000
    bench.handle(.ticked)
    #expect(wait(&bench) == 0, "a clock that was set back makes nobody wait for less than no time")
  }

  @Test("counts leases that ran out, and results that came after them")
  func troubles() throws {
    var bench = try Bench()
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    bench.handle(.ticked, after: Coordinator.leaseDuration - 2)
    #expect(bench.coordinator.leaseTroubles.expired == 0)
    bench.handle(.ticked, after: 2)
    #expect(bench.coordinator.leaseTroubles.expired == 1)
    #expect(bench.coordinator.leaseTroubles.staleCompletions == 0)
    bench.handle(.uploaded(WorkerID(1), Bench.upload(lease.key, lease.epoch)))
    #expect(bench.coordinator.leaseTroubles.staleCompletions == 1)
  }
}
