import CommandLineKit
import Dispatch
import Foundation
import Hashing
import SimulationKit
import SystemIO

/// Many seeds, or one event by event.
let seedsCommand = Command(
  name: "seeds", summary: "run one fleet for every seed and check what must hold",
  discussion: """
    Each seed is a run of its own: its shape, its workers, its deletions and its faults. A seed \
    that breaks a promise is printed with what broke; run it alone with --trace to see every event.
    """,
  options: [
    CommandOption("first", .integer(0...Int.max), default: "1", help: "The first seed."),
    CommandOption("count", .integer(1...1_000_000_000), default: "1", help: "How many seeds."),
    CommandOption("jobs", .integer(1...256), help: "Threads; default: one for each core."),
    CommandOption("trace", .flag, help: "Print every event; for one seed."),
  ],
  examples: [Example("lethe-simulator seeds --first 42 --trace", "One seed, event by event.")]
) { arguments, console in
  let first = UInt64(arguments.integer("first"))
  let count = arguments.integer("count")
  if arguments.flag("trace") {
    let simulation = Simulation(seed: first)
    simulation.onTrace = { try? console.print($0) }
    let outcome = try simulation.run()
    try console.print("trace \(outcome.trace), \(outcome.virtualSeconds) virtual seconds")
    return .ok
  }
  let tally = Guarded(Tally())
  let meter = console.progress("seeds", total: count, unit: "seeds")
  let jobs = arguments.integer(ifGiven: "jobs") ?? ProcessInfo.processInfo.activeProcessorCount
  let next = Guarded(0)
  DispatchQueue.concurrentPerform(iterations: jobs) { _ in
    while true {
      let offset = next.withLock { next in
        defer { next += 1 }
        return next
      }
      guard offset < count else { return }
      do {
        let outcome = try Simulation(seed: first + UInt64(offset)).run()
        tally.withLock { $0.add(outcome) }
      } catch {
        tally.withLock { $0.failures.append("\(error)") }
      }
      meter.advance()
    }
  }
  meter.finish()
  let result = tally.withLock { $0 }
  for failure in result.failures.sorted().prefix(50) { console.note(failure) }
  try console.print(result.summary(first: first))
  return result.failures.isEmpty ? .ok : .failure
}

/// What many seeds came to together.
private struct Tally: Sendable {
  var failures: [String] = []
  private var virtualSeconds = 0.0
  private var finished = 0
  private var counts: [String: Int] = [:]

  var done: Int { finished + failures.count }

  mutating func add(_ outcome: Simulation.Outcome) {
    finished += 1
    virtualSeconds += outcome.virtualSeconds
    for (name, count) in outcome.counts { counts[name, default: 0] += count }
  }

  func summary(first: UInt64) -> String {
    var lines = counts.sorted { $0.key < $1.key }.map { "  \($0.value) × \($0.key)" }
    lines.append(
      "seeds \(first) to \(first + UInt64(done) - 1): \(finished) held, \(failures.count) broke, "
        + "\(Humanized.fixed(virtualSeconds / 86_400, digits: 1)) virtual days")
    return lines.joined(separator: "\n")
  }
}
