import CoordinatorCore
import Hashing
import Ledger
import Testing
import Unlearning

/// Deletions that reach the same blocks: certified only when a fresh run's blocks serve.
@Suite("Deletions that overlap") struct OverlapTests {
  private static func delete(_ bench: inout Bench, _ shard: Int, _ slice: Int, _ number: Int) {
    bench.handle(
      .deletionRequested(token: 1, Bench.wish([Bench.tag(shard, slice, number)])))
  }

  private static func state(_ bench: Bench, _ number: UInt64) -> DeletionState {
    bench.coordinator.state.progress(of: bench.coordinator.state.deletion(number))
  }

  /// What `certified` promises at its moment, looked at from the outside.
  ///
  /// - Parameter earlier: Entries from before the event that is looked at.
  private static func check(_ bench: Bench, since earlier: Int = 0) throws {
    let state = bench.coordinator.state
    for case .certified(let number, _, _) in bench.entries.dropFirst(earlier) {
      let deletion = state.deletion(number)
      for location in deletion.locations {
        let order = state.plan.sequences.map(\.order)
        for sequence in order.indices {
          for stage in 1...order[sequence].count
          where order[sequence].prefix(stage).contains(location.slice) {
            let slot = BlockSlot(shard: location.shard, sequence: sequence, stage: stage)
            try #require(state.block(at: slot) != nil, "\(deletion.number) at \(slot)")
          }
        }
      }
    }
  }

  @Test("a deletion that finds its blocks masked already waits until they stand again")
  func maskedAlready() throws {
    var bench = try GuaranteeTests.trained()
    Self.delete(&bench, 0, 0, 0)
    Self.delete(&bench, 0, 0, 1)
    #expect(bench.coordinator.state.deletion(2).masked.isEmpty, "nothing stood any more")
    GuaranteeTests.purge(&bench)
    #expect(bench.coordinator.state.openDeletions == [1, 2], "the shard serves next to nothing")
    #expect(Self.state(bench, 2) == .purged)
    bench.trainAll()
    #expect(bench.coordinator.state.openDeletions.isEmpty)
    let second = bench.coordinator.state.deletion(2)
    #expect(second.replacements.isEmpty && second.state == .certified)
    try Self.check(bench)
  }

  @Test("a deletion in the middle of the first training waits for what it reaches")
  func firstTraining() throws {
    var bench = try Bench(.manual)
    bench.join(1)
    bench.handle(.trainingRequested)
    Self.delete(&bench, 1, 1, 0)
    GuaranteeTests.purge(&bench)
    #expect(Self.state(bench, 1) == .purged, "nothing was masked, and nothing serves")
    bench.trainAll()
    #expect(Self.state(bench, 1) == .certified)
    try Self.check(bench)
  }

  @Test("before anyone asks for training a deletion is certified once it is purged")
  func untrained() throws {
    var bench = try Bench()
    bench.join(1)
    Self.delete(&bench, 0, 0, 0)
    #expect(Self.state(bench, 1) == .masked)
    GuaranteeTests.purge(&bench)
    #expect(Self.state(bench, 1) == .certified, "a fresh run would serve nothing either")
  }

  @Test("a repair that a later deletion undoes before the purge is recorded anew")
  func repairUndone() throws {
    var bench = try GuaranteeTests.trained()
    Self.delete(&bench, 0, 0, 0)
    // Repair overtakes the purge, which waits for the files.
    bench.trainAll()
    let first = bench.coordinator.state.deletion(1)
    #expect(first.repairedAt != nil && first.purgedAt == nil)
    Self.delete(&bench, 0, 0, 1)
    GuaranteeTests.purge(&bench)
    #expect(bench.coordinator.state.openDeletions == [1, 2])
    #expect(Self.state(bench, 1) == .purged, "what had been repaired is masked again")
    // A restart knows as much.
    bench.coordinator = Coordinator(
      try bench.replayed(.manual), records: try bench.restartedRecords())
    bench.handle(.started)
    bench.join(1)
    #expect(bench.coordinator.state.openDeletions == [1, 2])
    bench.trainAll()
    #expect(bench.coordinator.state.openDeletions.isEmpty)
    let (again, state) = (bench.coordinator.state.deletion(1), bench.coordinator.state)
    #expect(try #require(again.repairedAt) > first.repairedAt!)
    for replacement in again.replacements {
      #expect(state.standing[BlockSlot(replacement.place)]?.digest == replacement.key)
    }
    try Self.check(bench)
  }

  @Test("a block lost to an alarm holds a certificate up until it is trained again")
  func lostBlock() throws {
    var bench = try GuaranteeTests.trained()
    Self.delete(&bench, 0, 1, 0)
    bench.trainAll()
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 2)
    let key = try #require(bench.coordinator.state.standing[slot])
    // A start finds a block's bytes missing.
    bench.entries.append(.artifactLost(key, at: bench.time))
    bench.coordinator = Coordinator(
      try bench.replayed(.manual), records: try bench.restartedRecords())
    bench.handle(.started)
    bench.join(1)
    GuaranteeTests.purge(&bench)
    #expect(bench.coordinator.state.openDeletions == [1])
    bench.trainAll()
    #expect(bench.coordinator.state.openDeletions.isEmpty)
    try Self.check(bench)
  }

  @Test("certified is the fresh run whatever overlaps", arguments: UInt64(0)..<64)
  func histories(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var bench = try Bench(Bool.random(using: &random) ? .manual : .eager)
    bench.join(1)
    if Bool.random(using: &random) { bench.trainAll() } else { bench.handle(.trainingRequested) }
    bench.handle(.workRequested(WorkerID(1)))
    for _ in 0..<40 {
      let earlier = bench.entries.count
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        guard let tag = bench.coordinator.records.tags.sorted().randomElement(using: &random)
        else { continue }
        bench.handle(.deletionRequested(token: 1, Bench.wish([tag])))
      case 1: GuaranteeTests.purge(&bench)
      case 2: bench.finishLeases()
      default: bench.handle(.trainingRequested)
      }
      try Self.check(bench, since: earlier)
    }
    let earlier = bench.entries.count
    GuaranteeTests.purge(&bench)
    bench.trainAll()
    GuaranteeTests.purge(&bench)
    #expect(bench.coordinator.state.openDeletions.isEmpty)
    try Self.check(bench, since: earlier)
  }
}
