/// How long stages have taken, so that a straggler stands out, and what guessing has cost.
package struct StagePace: Equatable, Sendable {
  /// The latest times of each stage.
  private var times: [Int: [Milliseconds]] = [:]
  /// Time that committed blocks took.
  private var useful: Milliseconds = 0
  /// Time spent on, and promised to, second workers.
  private var speculative: Milliseconds = 0

  private static let timesKept = 64
  private static let timesNeeded = 3
  /// Part of the useful work that second workers may cost.
  package static let speculationShare = 0.05

  mutating func note(_ purpose: Lease.Purpose, stage: Int, took time: Milliseconds) {
    guard purpose != .audit else { return }
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
