import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// A numeric class is pinned by a block or by the operator, never by what a hello says.
@Suite("Numeric class") struct ClassTests {
  private func pins(_ bench: Bench) -> [String] {
    bench.entries.compactMap { if case .numericClassPinned(let name) = $0 { name } else { nil } }
  }

  @Test("is pinned by the first committed block, not by a hello")
  func firstBlock() throws {
    var bench = try Bench()
    bench.join(1, host: "a", numericClass: "x")
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    #expect(pins(bench).isEmpty && bench.coordinator.leases.count == 1)
    #expect(try bench.replayed() == bench.coordinator.state.durable)
    bench.finishLeases()
    #expect(pins(bench) == ["x"])
    bench.join(2, host: "b", numericClass: "y")
    let step = bench.handle(.workRequested(WorkerID(2)))
    let told = step.effects.compactMap { if case .tell(_, let text) = $0 { text } else { nil } }
    #expect(told.count == 1 && told[0].contains("y") && told[0].contains("x"))
    #expect(bench.handle(.workRequested(WorkerID(2))).effects.isEmpty, "told once")
  }

  @Test("whoever comes first with another class holds nobody up for longer than one lease")
  func liar() throws {
    for ending in 0..<3 {
      var bench = try Bench()
      bench.join(1, host: "liar", numericClass: "")
      bench.handle(.trainingRequested)
      bench.handle(.workRequested(WorkerID(1)))
      let lease = try #require(bench.coordinator.leases.all.first)
      bench.join(2, host: "honest", numericClass: "c")
      let told = bench.handle(.workRequested(WorkerID(2))).effects.contains {
        if case .tell(WorkerID(2), _) = $0 { true } else { false }
      }
      #expect(told, "it is told why it waits")
      #expect(bench.coordinator.leases.lease(of: WorkerID(2)) == nil)
      switch ending {
      case 0:
        bench.handle(
          .failed(WorkerID(1), epoch: lease.epoch, Failure(kind: .cancelled, reason: "no")))
      case 1: bench.handle(.workerLeft(WorkerID(1)))
      default:
        // It makes progress for ever.
        for step in UInt32(1)...400 {
          bench.handle(
            .heartbeat(
              WorkerID(1), epoch: lease.epoch, StageProgress(step: step, totalSteps: .max)),
            after: 5_000)
          bench.handle(.ticked)
          if bench.coordinator.leases.lease(of: WorkerID(2)) != nil { break }
        }
      }
      if ending != 1 { bench.handle(.workRequested(WorkerID(1))) }
      #expect(bench.coordinator.leases.lease(of: WorkerID(2)) != nil, "ending \(ending)")
      bench.finishLeases()
      #expect(pins(bench) == ["c"])
    }
  }

  @Test("one class is tried at a time, and what another one leased is cancelled")
  func switching() throws {
    var bench = try Bench()
    for (number, host, name) in [(UInt64(1), "a", "x"), (2, "a", "x"), (3, "b", "y")] {
      bench.join(number, host: host, numericClass: name)
    }
    bench.handle(.trainingRequested)
    for number in UInt64(1)...3 { bench.handle(.workRequested(WorkerID(number))) }
    let leases = bench.coordinator.leases.all
    #expect(leases.map(\.worker) == [WorkerID(1), WorkerID(2)])
    let step = bench.handle(
      .failed(WorkerID(1), epoch: leases[0].epoch, Failure(kind: .retryable, reason: "no")))
    #expect(step.effects.contains(.cancel(WorkerID(2), leases[1].epoch)))
    #expect(bench.coordinator.leases.all.map(\.worker) == [WorkerID(3)])
    #expect(bench.coordinator.waitingReason(of: BlockSlot(shard: 1, sequence: 0, stage: 1)) == nil)
  }

  @Test("the operator pins it while nothing is trained, and changes it")
  func operatorPins() throws {
    var bench = try Bench()
    bench.handle(.classRequested("x"))
    bench.join(1, numericClass: "c")
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    #expect(bench.coordinator.leases.isEmpty)
    #expect(bench.coordinator.reasonShown == .noMatchingNumericClass)
    bench.handle(.classRequested("c"))
    #expect(bench.coordinator.leases.count == 1, "who waited gets work at once")
    bench.finishLeases()
    let before = bench.coordinator.state
    bench.handle(.classRequested("x"))
    #expect(bench.coordinator.state.numericClass == "c" && before.blocks.count == 1)
    #expect(pins(bench) == ["x", "c"])
  }

  @Test("a run whose class an older build pinned before any block keeps it, and may change it")
  func olderRuns() throws {
    var state = try RunState(Bench.run)
    state.apply(Bench.ingestion)
    state.apply(.numericClassPinned("old"))
    state.refreshKeys()
    #expect(state.mayChangeClass && state.expectedKeys.count == 8)
    #expect(try RunState(encoded: state.encoded) == state)
  }
}

extension Coordinator {
  var reasonShown: WaitingReason? {
    waitingReason(of: BlockSlot(shard: 0, sequence: 0, stage: 1))
  }
}
