import Unlearning

/// What has gone wrong with a block since its key was new.
package struct BlockFailures: Equatable, Sendable {
  /// Attempts that a worker itself reported as failed.
  package var attemptsByHost: [String: Int] = [:]
  /// Workers that vanished while they trained it, since it last got any further.
  package var losses = 0
  package var reasons: [String] = []
  package var notBefore: Milliseconds = 0
  package var isPoisoned = false

  /// Reasons are for people; the last few say it all.
  mutating func add(reason: String) {
    reasons.append(reason)
    if reasons.count > 8 { reasons.removeFirst() }
  }
}

extension Coordinator {
  package static let attemptsPerHost = 2
  package static let hostsBeforePoison = 2
  /// A worker that vanishes says nothing about the block, until too many do.
  package static let lossesBeforePoison = 8
  private static let firstBackoff: Milliseconds = 1_000
  private static let firstBackoffAfterLoss: Milliseconds = 250
  private static let longestBackoff: Milliseconds = 60_000

  private static func backoff(_ first: Milliseconds, count: Int) -> Milliseconds {
    min(first << Milliseconds(min(count - 1, 16)), longestBackoff)
  }

  /// A worker said that it could not train a block.
  mutating func note(_ failure: Failure, of key: BlockKey, by id: WorkerID) {
    guard failure.kind != .cancelled else { return }
    let host = workers[id]?.introduction.host ?? "unknown host"
    var failures = self.failures[key] ?? BlockFailures()
    failures.add(reason: "\(host): \(failure.reason)")
    failures.attemptsByHost[host, default: 0] += failure.kind == .host ? Self.attemptsPerHost : 1
    let attempts = failures.attemptsByHost.values.reduce(0, +)
    failures.notBefore = now.monotonic + Self.backoff(Self.firstBackoff, count: attempts)
    let spentHosts = failures.attemptsByHost.values.count { $0 >= Self.attemptsPerHost }
    failures.isPoisoned = failure.kind == .fatal || spentHosts >= Self.hostsBeforePoison
    self.failures[key] = failures
  }

  /// A worker vanished with a lease, or fell silent.
  mutating func noteLoss(of lease: Lease, reason: String) {
    guard lease.purpose == .training else { return }
    var failures = self.failures[lease.key] ?? BlockFailures()
    failures.losses += 1
    let worker = workers[lease.worker]?.introduction.name ?? "a worker"
    failures.add(reason: "\(worker): \(reason)")
    failures.notBefore = max(
      failures.notBefore,
      now.monotonic + Self.backoff(Self.firstBackoffAfterLoss, count: failures.losses))
    if failures.losses >= Self.lossesBeforePoison { failures.isPoisoned = true }
    self.failures[lease.key] = failures
  }

  /// Whether a host may try a slot: it has attempts left, and no other host is to try first.
  func isFit(_ slot: BlockSlot, host: String) -> Bool {
    guard let key = state.expectedKeys[slot], let failures = failures[key],
      !failures.attemptsByHost.isEmpty
    else { return true }
    let attempts = failures.attemptsByHost[host] ?? 0
    guard attempts < Self.attemptsPerHost else { return false }
    // Another host goes first, unless it does not come forward for a minute.
    return now.monotonic > failures.notBefore + Self.longestBackoff
      || !trainersByHost.keys.contains { (failures.attemptsByHost[$0] ?? 0) < attempts }
  }
}
