import CoordinatorCore
import Dispatch
import Foundation
import SimulationKit
import TestKit
import Testing

@Suite("Simulation") struct SimulationTests {
  @Test("two thousand fleets keep every promise, whatever goes wrong")
  func seeds() {
    // Under a sanitizer a sample: each seed is a world of its own, in one thread.
    let isSanitized = Pace.sanitizer != nil
    let count = isSanitized ? 100 : 2_000
    let lock = NSLock()
    nonisolated(unsafe) var failures: [String] = []
    nonisolated(unsafe) var counts: [String: Int] = [:]
    DispatchQueue.concurrentPerform(iterations: count) { index in
      do {
        let outcome = try Simulation(seed: UInt64(index + 1)).run()
        lock.withLock { counts.merge(outcome.counts, uniquingKeysWith: +) }
      } catch {
        lock.withLock { failures.append("\(error)") }
      }
    }
    #expect(failures.isEmpty, "\(failures.sorted().prefix(5))")
    guard !isSanitized else { return }
    // A simulator in which nothing happens keeps every promise, too.
    for happening in [
      "answer given", "answer given up", "answer recomputed", "block committed", "checkpoint",
      "clock jump",
      "closed by coordinator", "closed by worker", "connection broken", "coordinator crash",
      "cut off",
      "deadline passed", "deletion answered", "drained", "journal repaired", "journal torn",
      "key revoked", "lie", "lie committed", "partition", "purge", "refused confirmed",
      "refused staleLease", "resumed", "tampering", "worker crash", "worker pause",
    ] {
      #expect(counts[happening, default: 0] > 0, "no seed saw: \(happening)")
    }
  }

  @Test("one seed is one history, byte for byte", arguments: [UInt64(3), 17, 400])
  func reproducible(seed: UInt64) throws {
    var traces: [[String]] = []
    var outcomes: [Simulation.Outcome] = []
    for _ in 0..<2 {
      let simulation = Simulation(seed: seed)
      var lines: [String] = []
      simulation.onTrace = { lines.append($0) }
      outcomes.append(try simulation.run())
      traces.append(lines)
    }
    #expect(outcomes[0] == outcomes[1])
    #expect(traces[0] == traces[1] && traces[0].count > 100)
  }

  @Test("a fleet of hundreds comes to every block, losses and all")
  func fleet() {
    var fleet = FleetAtScale(
      FleetAtScale.Shape(shards: 50, slices: 4, sequences: 4, workers: 300), seed: 5)
    fleet.advance(blocks: .max / 2)
    #expect(fleet.isDone && fleet.coordinator.leases.isEmpty)
  }
}
