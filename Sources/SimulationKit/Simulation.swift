import ByteCoding
import CoordinatorCore
import Hashing
import JournalFormat
import Unlearning
import WireFormat
import WorkerCore

/// One run of a whole fleet in virtual time: a coordinator, its disk, workers, a network, people
/// who delete and ask, and everything that can go wrong with them, all from one seed.
///
/// The coordinator, both ends of the wire, the worker's conversation and the journal's recovery are
/// the shipped code; only threads, sockets, files and arithmetic are replaced. After every event
/// the promises in `Invariants` are checked, and at the end the blocks are compared with those of a
/// `ReferenceModel` that knows nothing but records and deletions.
///
/// The same seed gives the same trace, byte for byte.
package final class Simulation {
  /// What a seed came to.
  package struct Outcome: Equatable, Sendable {
    package var seed: UInt64
    /// SHA-256 over every event, its time and what it brought about.
    package var trace: Digest
    package var virtualSeconds: Double
    package var counts: [String: Int]
  }

  /// An invariant that did not hold.
  package struct Violation: Error, CustomStringConvertible, Sendable {
    package var seed: UInt64
    package var time: Milliseconds
    package var what: String

    package var description: String {
      "seed \(seed), after \(time) virtual ms: \(what)"
    }
  }

  let scenario: Scenario
  var random: SeededGenerator
  /// Virtual milliseconds since the beginning; nobody's clock jumps but the wall's.
  private(set) var now: Milliseconds = 0
  var wallOffset: Milliseconds = 1_700_000_000_000
  private var agenda = PriorityHeap<Appointment>()
  private var lastAppointment: UInt64 = 0
  private var hasher = SHA256()
  var counts: [String: Int] = [:]
  /// Told every line of the trace as it happens.
  package var onTrace: ((String) -> Void)?

  let coordinator: SimulatedCoordinator
  var workers: [SimulatedWorker] = []
  let network: SimulatedNetwork
  let people: SimulatedPeople
  let invariants: Invariants
  /// Faults come only until then.
  var isCalm: Bool { now >= scenario.calmAfter }

  private struct Appointment: Comparable {
    var at: Milliseconds
    var number: UInt64
    var body: () throws -> Void

    static func == (left: Self, right: Self) -> Bool { left.number == right.number }

    static func < (left: Self, right: Self) -> Bool {
      (left.at, left.number) < (right.at, right.number)
    }
  }

  package init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    scenario = Scenario(seed: seed, &random)
    coordinator = SimulatedCoordinator(scenario)
    network = SimulatedNetwork()
    people = SimulatedPeople()
    invariants = Invariants(scenario)
    coordinator.world = self
    network.world = self
    people.world = self
    invariants.world = self
    for index in 0..<scenario.workers.count {
      let worker = SimulatedWorker(index: index, scenario.workers[index])
      worker.world = self
      workers.append(worker)
    }
  }

  /// Runs to the end.
  ///
  /// - Throws: `Violation`.
  package func run() throws -> Outcome {
    coordinator.start()
    for worker in workers { worker.start(after: chance(0...5_000)) }
    people.start()
    scheduleFaults()
    after(scenario.calmAfter) { [unowned self] in for worker in workers { worker.repent() } }
    while let next = agenda.removeFirst() {
      now = next.at
      try next.body()
      try invariants.check()
      if isCalm, people.isFinished, coordinator.isFinished { break }
      guard now < scenario.deadline else { throw violation("no progress: \(whatIsMissing())") }
    }
    try invariants.checkEnd()
    return Outcome(
      seed: scenario.seed, trace: hasher.finalize(), virtualSeconds: Double(now) / 1000,
      counts: counts)
  }

  private func whatIsMissing() -> String {
    var missing: [String] = []
    if !people.isFinished { missing.append("people wait for answers") }
    missing += coordinator.unfinished
    return missing.joined(separator: "; ")
  }

  // MARK: - Time and chance

  /// Does something later; at equal times in the order asked for.
  func after(_ delay: Milliseconds, _ body: @escaping () throws -> Void) {
    lastAppointment += 1
    agenda.insert(Appointment(at: now + max(delay, 0), number: lastAppointment, body: body))
  }

  func chance(_ range: ClosedRange<Milliseconds>) -> Milliseconds {
    Milliseconds.random(in: range, using: &random)
  }

  /// True once in so many times; never when the faults are over.
  func fault(oneIn count: Int) -> Bool {
    !isCalm && Int.random(in: 0..<count, using: &random) == 0
  }

  func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) }
  }

  var moment: Moment { Moment(monotonic: now, wall: now + wallOffset) }

  func violation(_ what: String) -> Violation {
    Violation(seed: scenario.seed, time: now, what: what)
  }

  /// Adds to the trace.
  func note(_ what: @autoclosure () -> String) {
    addToTrace(Array(what().utf8))
    onTrace?("\(now) \(what())")
  }

  /// Adds what the coordinator was told and what it decided.
  func note(_ event: Event, _ step: Step) {
    var writer = CanonicalWriter()
    writer.write(UInt32(step.entries.count))
    writer.write(UInt32(step.effects.count))
    for entry in step.entries { writer.write(entry.encoded) }
    addToTrace(writer.bytes)
    guard let onTrace else { return }
    // Names alone: what cases hold prints in the order of sets.
    func name(_ value: some Any) -> Substring { "\(value)".prefix { $0 != "(" } }
    let (entries, effects) = (step.entries.map(name), step.effects.map(name))
    let digest = SHA256.hash(writer.bytes)
    onTrace("\(now) \(name(event)) -> \(entries) \(effects) \(digest.hex.prefix(16))")
  }

  private func addToTrace(_ bytes: [UInt8]) {
    var writer = CanonicalWriter()
    writer.write(UInt64(bitPattern: now))
    writer.write(bytes)
    hasher.update(writer.bytes)
  }

  func count(_ what: String) { counts[what, default: 0] += 1 }

  // MARK: - What goes wrong

  private func scheduleFaults() {
    after(chance(1_000...20_000)) { [unowned self] in
      guard !isCalm else { return }
      disturb()
      scheduleFaults()
    }
  }

  private func disturb() {
    let worker = workers[Int.random(in: workers.indices, using: &random)]
    switch Int.random(in: 0..<12, using: &random) {
    case 0, 1: coordinator.crash()
    case 2, 3: worker.crash()
    case 4, 5: worker.pause(for: chance(100...40_000))
    case 6, 7: network.cutOff(worker, for: chance(100...60_000))
    case 8: worker.drain()
    case 9:
      // The wall clock is set, forwards or backwards; nothing but dates may notice.
      wallOffset += chance(-3_600_000...3_600_000)
      count("clock jump")
    case 10: network.breakConnections(of: worker)
    default: coordinator.revokeAndRenewKey(of: worker)
    }
  }
}
