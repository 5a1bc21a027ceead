import Unlearning

/// What has gone wrong with a block since its key was new, counted by the keys of those who tried.
package struct BlockFailures: Equatable, Sendable {
  /// Attempts that a worker itself reported as failed, or that stood still.
  package var attemptsByKey: [PeerIdentity: Int] = [:]
  /// Workers that vanished while they trained it, since it last got any further.
  package var lossesByKey: [PeerIdentity: Int] = [:]
  package var reasons: [String] = []
  package var notBefore: Milliseconds = 0
  /// When a key that has used up its attempts may try again, if no other has come forward.
  package var retryAloneAt: Milliseconds = 0
  package var isPoisoned = false

  /// Whether a key has used up its attempts.
  package func isSpent(_ identity: PeerIdentity) -> Bool {
    attemptsByKey[identity] ?? 0 >= Coordinator.attemptsPerKey
      || lossesByKey[identity] ?? 0 >= Coordinator.lossesPerKey
  }

  /// Reasons are for people; the last few say it all.
  mutating func add(reason: String) {
    reasons.append(reason)
    if reasons.count > 8 { reasons.removeFirst() }
  }

  /// What follows from an attempt of a key: one key alone never poisons a block, two do.
  fileprivate mutating func judge(_ identity: PeerIdentity, at now: Milliseconds) {
    let keys = Set(attemptsByKey.keys).union(lossesByKey.keys)
    isPoisoned = keys.count(where: isSpent) >= Coordinator.keysBeforePoison
    guard isSpent(identity) else { return }
    let excess = max(
      (attemptsByKey[identity] ?? 0) - Coordinator.attemptsPerKey,
      (lossesByKey[identity] ?? 0) - Coordinator.lossesPerKey)
    retryAloneAt =
      now
      + min(
        Coordinator.firstPauseAlone << Milliseconds(min(max(excess, 0), 16)),
        Coordinator.longestPauseAlone)
  }
}

/// How often in a row the workers of a key have ended leases without a result.
package struct KeyTroubles: Equatable, Sendable {
  package var count = 0
  package var restsUntil: Milliseconds = 0
}

extension Coordinator {
  package static let attemptsPerKey = 2
  package static let keysBeforePoison = 2
  /// A worker that vanishes says nothing about the block, until too many of a key do.
  package static let lossesPerKey = 8
  /// A key that alone has used up its attempts tries again after so long, then twice as long.
  static let firstPauseAlone: Milliseconds = 60_000
  static let longestPauseAlone: Milliseconds = 900_000
  private static let firstBackoff: Milliseconds = 1_000
  private static let firstBackoffAfterLoss: Milliseconds = 250
  private static let longestBackoff: Milliseconds = 60_000
  /// Leases in a row that a key may end without a result before it has to rest.
  package static let troublesBeforeRest = 3
  private static let longestRest: Milliseconds = 30_000

  private static func backoff(_ first: Milliseconds, count: Int) -> Milliseconds {
    min(first << Milliseconds(min(max(count - 1, 0), 16)), longestBackoff)
  }

  /// A lease has ended because its worker said so, or stood still.
  ///
  /// - Precondition: the lease is no longer in the book.
  mutating func settle(_ failure: Failure, of lease: Lease, in step: inout Step) {
    guard let worker = workers[lease.worker] else { return }
    noteTrouble(of: lease, by: worker)
    guard failure.kind != .cancelled else { return }
    step.effects.append(.noted(lease.worker, lease.key, failure))
    switch lease.purpose {
    case .training, .speculation: note(failure, of: lease.key, by: worker)
    case .audit: noteAuditFailure(of: lease.key, reason: failure.reason, by: worker.identity)
    }
  }

  /// A worker could not train a block.
  private mutating func note(_ failure: Failure, of key: BlockKey, by worker: WorkerState) {
    let identity = worker.identity
    var failures = self.failures[key] ?? BlockFailures()
    failures.add(reason: "\(worker.introduction.name): \(failure.reason)")
    let before = failures.attemptsByKey[identity] ?? 0
    // "This host cannot" and "nobody can" are this key's verdicts, and no one else's.
    failures.attemptsByKey[identity] =
      failure.kind == .retryable ? before + 1 : max(before + 1, Self.attemptsPerKey)
    let attempts = failures.attemptsByKey.values.reduce(0, +)
    failures.notBefore = now.monotonic + Self.backoff(Self.firstBackoff, count: attempts)
    failures.judge(identity, at: now.monotonic)
    self.failures[key] = failures
  }

  /// A worker vanished with a lease, or fell silent.
  mutating func noteLoss(of lease: Lease, reason: String) {
    guard let worker = workers[lease.worker] else { return }
    noteTrouble(of: lease, by: worker)
    switch lease.purpose {
    case .speculation: return
    case .audit: return noteAuditLoss(of: lease.key, reason: reason, by: worker.identity)
    case .training: break
    }
    var failures = self.failures[lease.key] ?? BlockFailures()
    failures.lossesByKey[worker.identity, default: 0] += 1
    failures.add(reason: "\(worker.introduction.name): \(reason)")
    let losses = failures.lossesByKey.values.reduce(0, +)
    failures.notBefore = max(
      failures.notBefore, now.monotonic + Self.backoff(Self.firstBackoffAfterLoss, count: losses))
    failures.judge(worker.identity, at: now.monotonic)
    self.failures[lease.key] = failures
  }

  /// A lease has ended without a result: whoever goes on like that has to rest in between, so that
  /// no message can go round in a hot loop.
  private mutating func noteTrouble(of lease: Lease, by worker: WorkerState) {
    election.noteEnd(of: worker.identity, isOpen: state.numericClass == nil)
    // It said that it leaves, and gets nothing more on this connection.
    guard !worker.isDraining else { return }
    var troubles = self.troubles[worker.identity] ?? KeyTroubles()
    troubles.count += 1
    let excess = troubles.count - Self.troublesBeforeRest
    if excess > 0 {
      troubles.restsUntil =
        now.monotonic
        + min(
          Self.firstBackoffAfterLoss << Milliseconds(min(excess - 1, 16)), Self.longestRest)
    }
    self.troubles[worker.identity] = troubles
  }

  /// A result was good: the key begins anew.
  mutating func noteSuccess(of identity: PeerIdentity) { troubles[identity] = nil }

  func isResting(_ identity: PeerIdentity) -> Bool {
    troubles[identity].map { $0.restsUntil > now.monotonic } ?? false
  }

  /// Whether a key may try a slot: it has attempts left, and no other key is to try first.
  func isFit(_ slot: BlockSlot, for identity: PeerIdentity) -> Bool {
    guard let key = state.expectedKeys[slot] else { return true }
    // Who has given its bytes for a disputed block cannot be the one that decides.
    if state.disputes[key]?.opinions.contains(where: { $0.identity == identity }) == true {
      return false
    }
    guard let failures = failures[key] else { return true }
    if failures.isSpent(identity) {
      return now.monotonic >= failures.retryAloneAt
        && !trainersByKey.keys.contains { !failures.isSpent($0) }
    }
    guard !failures.attemptsByKey.isEmpty else { return true }
    let attempts = failures.attemptsByKey[identity] ?? 0
    // Another key goes first, unless it does not come forward for a minute.
    return now.monotonic > failures.notBefore + Self.longestBackoff
      || !trainersByKey.keys.contains { (failures.attemptsByKey[$0] ?? 0) < attempts }
  }
}
