/// How long stages have taken, so that a straggler stands out, and what guessing has cost.
package struct StagePace: Equatable, Sendable {
  /// The latest times of each stage.
  private var times: [Int: [Milliseconds]] = [:]
  /// The longest that a step took on the average, over the latest blocks of each stage.
  private var stepTimes: [Int: [Milliseconds]] = [:]
  /// Time that committed blocks took.
  private var useful: Milliseconds = 0
  /// Time spent on, and promised to, second workers.
  private var speculative: Milliseconds = 0

  private static let timesKept = 64
  private static let timesNeeded = 3
  /// Part of the useful work that second workers may cost.
  package static let speculationShare = 0.05

  mutating func note(
    _ purpose: Lease.Purpose, stage: Int, took time: Milliseconds, steps: UInt32 = 0
  ) {
    guard purpose != .audit else { return }
    if steps > 0 {
      var latest = stepTimes[stage] ?? []
      if latest.count == Self.timesKept { latest.removeFirst() }
      latest.append(time / Milliseconds(steps))
      stepTimes[stage] = latest
    }
    useful += time
    var latest = times[stage] ?? []
    if latest.count == Self.timesKept { latest.removeFirst() }
    latest.append(time)
    times[stage] = latest
  }

  /// Longer than this is unusual for the stage: twice the median and more than nineteen of twenty
  /// took; `nil` while too few are known.
  package func patience(stage: Int) -> Milliseconds? {
    guard let latest = times[stage], latest.count >= Self.timesNeeded else { return nil }
    let sorted = latest.sorted()
    return max(2 * sorted[sorted.count / 2], sorted[(sorted.count - 1) * 95 / 100])
  }

  /// A lease is ended once it has taken this many times as long as its like have.
  private static let patienceFactor: Milliseconds = 20
  package static let leastStepPatience: Milliseconds = 5 * 60_000
  package static let leastStartPatience: Milliseconds = 30 * 60_000
  private static let patiencePerRecord: Milliseconds = 2_000
  package static let leastLeasePatience: Milliseconds = 2 * 3_600_000

  /// How long a lease may stand between two steps; longer while no block of the stage is known.
  package func stepPatience(stage: Int) -> Milliseconds {
    guard let longest = stepTimes[stage]?.max() else { return Self.leastStartPatience }
    return max(Self.leastStepPatience, Self.patienceFactor * longest)
  }

  /// How long a lease may stand before its first step, and after its last.
  ///
  /// - Parameter recordCount: They go through the frozen layers before the first step.
  package func startPatience(stage: Int, recordCount: Int) -> Milliseconds {
    max(
      Self.leastStartPatience, Self.patiencePerRecord * Milliseconds(recordCount),
      Self.patienceFactor * (times[stage]?.max() ?? 0))
  }

  /// How long a lease may take in all; `nil` while too few blocks of the stage are known.
  package func leasePatience(stage: Int) -> Milliseconds? {
    guard let known = times[stage], known.count >= Self.timesNeeded, let longest = known.max(),
      longest > 0
    else { return nil }
    return max(Self.leastLeasePatience, Self.patienceFactor * longest)
  }

  /// Sets time aside for a second worker on a block of this stage, if the budget allows it.
  mutating func affordsSpeculation(stage: Int) -> Bool {
    guard let latest = times[stage]?.sorted(), !latest.isEmpty else { return false }
    let price = latest[latest.count / 2]
    guard Double(speculative + price) <= Self.speculationShare * Double(useful) else {
      return false
    }
    speculative += price
    return true
  }
}
