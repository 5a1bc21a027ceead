import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// A lease needs steps, not words, and reads nothing but its own slices.
@Suite("Clocks and reading") struct ClockTests {
  /// A run of which three blocks of stage one are known, and a lease of the next.
  private func begun() throws -> (bench: Bench, lease: Lease) {
    let run = Bench.wide(shards: 8)
    var bench = try Bench(run: run, slices: Bench.slices(of: run))
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    for _ in 0..<3 {
      let lease = try #require(bench.coordinator.leases.all.first)
      bench.handle(
        .heartbeat(WorkerID(1), epoch: lease.epoch, StageProgress(step: 9, totalSteps: 10)),
        after: 1_000)
      bench.finishLeases()
    }
    let lease = try #require(bench.coordinator.leases.all.first)
    #expect(lease.slot.stage == 1)
    return (bench, lease)
  }

  struct Row: Sendable {
    /// Steps as told every five seconds, from the total and the count of heartbeats.
    var step: @Sendable (UInt32) -> StageProgress
    var minutes: Int
    var ends: Bool
    var because: String
  }

  static let rows = [
    Row(
      step: { _ in StageProgress(step: 1, totalSteps: 9) }, minutes: 4, ends: false,
      because: "some time is granted"),
    Row(
      step: { _ in StageProgress(step: 1, totalSteps: 9) }, minutes: 6, ends: true,
      because: "at step 1 for ever"),
    Row(
      step: { _ in StageProgress(step: 0, totalSteps: 0) }, minutes: 29, ends: false,
      because: "the frozen layers come before the first step"),
    Row(
      step: { _ in StageProgress(step: 0, totalSteps: 0) }, minutes: 32, ends: true,
      because: "but not for ever"),
    Row(
      step: { StageProgress(step: $0 / 30, totalSteps: 900) }, minutes: 60, ends: false,
      because: "a slow worker that gets further"),
    Row(
      step: { StageProgress(step: 9 - min($0 % 9, 8), totalSteps: 9) }, minutes: 32, ends: true,
      because: "a number that goes back and forth"),
    Row(
      step: { StageProgress(step: $0, totalSteps: $0 + 1) }, minutes: 32, ends: true,
      because: "a total that grows along"),
    Row(
      step: { StageProgress(step: $0, totalSteps: 1_000_000) }, minutes: 121, ends: true,
      because: "steps without end, where its like takes seconds"),
  ]

  @Test("a lease that gets nowhere ends, with a reason and against its key", arguments: rows)
  func standing(_ row: Row) throws {
    var (bench, lease) = try begun()
    for beat in UInt32(1)...UInt32(row.minutes * 12) {
      bench.handle(.heartbeat(WorkerID(1), epoch: lease.epoch, row.step(beat)), after: 5_000)
      bench.handle(.ticked, after: 0)
      if bench.coordinator.leases[epoch: lease.epoch] == nil { break }
      bench.effects = []
    }
    let hasEnded = bench.coordinator.leases[epoch: lease.epoch] == nil
    #expect(hasEnded == row.ends, "\(row.because)")
    guard row.ends else { return }
    #expect(bench.effects.contains(.cancel(WorkerID(1), lease.epoch)))
    #expect(bench.coordinator.leaseTroubles.stalled >= 1)
    let failures = bench.coordinator.failures[lease.key]
    #expect(failures?.attemptsByKey[Bench.identity("h")] ?? 0 >= 1)
  }

  @Test("a slice or an artifact is read under the lease that needs it, by its holder")
  func reading() throws {
    var bench = try Bench()
    bench.join(1)
    bench.join(2, host: "b")
    bench.trainAll()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0)])))
    for id in [WorkerID(1), WorkerID(2)] { bench.handle(.workRequested(id)) }
    let coordinator = bench.coordinator
    let lease = try #require(coordinator.leases.lease(of: WorkerID(1)))
    let assignment = try #require(coordinator.state.assignment(for: lease.slot))
    func reference(_ shard: Int, _ slice: Int) -> SliceReference {
      SliceReference(
        location: SliceLocation(shard: shard, slice: slice),
        digest: coordinator.state.slices[shard][slice].digest)
    }
    for slice in assignment.slices { #expect(coordinator.mayRead(slice, WorkerID(1))) }
    #expect(!coordinator.mayRead(reference(1, 0), WorkerID(1)), "another shard's")
    let elsewhere = SliceReference(
      location: SliceLocation(shard: 1, slice: assignment.slices[0].location.slice),
      digest: assignment.slices[0].digest)
    #expect(!coordinator.mayRead(elsewhere, WorkerID(1)), "another shard's name for it")
    let stale = SliceReference(
      location: assignment.slices[0].location, digest: SHA256.hash([1]))
    #expect(!coordinator.mayRead(stale, WorkerID(1)), "as it is not")
    #expect(!coordinator.mayRead(assignment.slices[0], WorkerID(3)), "a stranger")
    let own = Set(assignment.ancestors)
    for artifact in coordinator.state.artifactUses.keys {
      #expect(coordinator.mayRead(artifact: artifact, WorkerID(1)) == own.contains(artifact))
    }
    bench.handle(
      .failed(WorkerID(1), epoch: lease.epoch, Failure(kind: .retryable, reason: "x")))
    let after = bench.coordinator
    #expect(after.leases.lease(of: WorkerID(1)) == nil)
    for slice in assignment.slices { #expect(!after.mayRead(slice, WorkerID(1)), "it is over") }
  }

  @Test("a lease of a first stage lets its holder read one slice of its shard")
  func oneSlice() throws {
    let (bench, lease) = try begun()
    let coordinator = bench.coordinator
    let readable = coordinator.state.slices[lease.slot.shard].enumerated().filter {
      slice, summary in
      let location = SliceLocation(shard: lease.slot.shard, slice: slice)
      return coordinator.mayRead(
        SliceReference(location: location, digest: summary.digest), lease.worker)
    }
    let own = try #require(coordinator.state.assignment(for: lease.slot)).slices
    #expect(readable.map(\.offset) == own.map(\.location.slice) && own.count == 1)
  }
}
