import ByteCoding
import Hashing
import Unlearning

/// Standing blocks that are trained again to see whether the same bits come out.
package struct AuditProgress: Equatable, Sendable {
  /// Blocks still to be trained again, in the order they were chosen.
  package internal(set) var waiting: [BlockKey] = []
  /// What has gone wrong with those that wait.
  package internal(set) var attempts: [BlockKey: AuditAttempts] = [:]
  /// Blocks trained again since this process began.
  package internal(set) var checked = 0
  /// Of those, the ones with the same bytes.
  package internal(set) var matched = 0
  /// Of those trained again, the ones that the key that had trained them repeated: that shows
  /// determinism, and confirms nothing independently.
  package internal(set) var repeated = 0
  /// Audits that were given up, as nobody brought them to a result.
  package internal(set) var abandoned = 0

  /// Share of matches; `nil` before the first.
  package var matchRate: Double? { checked > 0 ? Double(matched) / Double(checked) : nil }
}

/// Audits of one block that came to nothing.
package struct AuditAttempts: Equatable, Sendable {
  package var failureCount = 0
  package var lossCount = 0
  package var failedBy: Set<PeerIdentity> = []
  package var notBefore: Milliseconds = 0
}

extension Coordinator {
  /// Times that an audit may be answered by a failure before it is given up with an alarm.
  package static let auditAttempts = 3
  /// Times that the worker may vanish in an audit.
  package static let auditLosses = 8
  private static let firstAuditPause: Milliseconds = 5_000

  /// Chooses standing blocks by a hash of key and seed, so that nobody can foresee which.
  mutating func beginAudit(share: Double, seed: UInt64) {
    for key in state.blocks.keys.sorted() where !audit.waiting.contains(key) {
      if Self.isChosen(key, share: share, seed: seed) { audit.waiting.append(key) }
    }
  }

  static func isChosen(_ key: BlockKey, share: Double, seed: UInt64) -> Bool {
    var writer = CanonicalWriter()
    writer.write("lethe-audit-1")
    writer.write(seed)
    writer.write(key.digest)
    let point = LookupTag(SHA256.hash(writer.bytes)).value
    return share >= 1 || Double(point) < share * 0x1p64
  }

  /// A block for this worker to train again, by another key than trained it if there is one.
  mutating func nextAudit(for id: WorkerID) -> BlockAssignment? {
    let gone = audit.waiting.filter { state.blocks[$0] == nil }
    if !gone.isEmpty {
      audit.waiting.removeAll { state.blocks[$0] == nil }
      for key in gone { audit.attempts[key] = nil }
    }
    guard let identity = workers[id]?.identity, !isResting(identity) else { return nil }
    for key in audit.waiting where leases[key] == nil && mayAudit(key, identity) {
      // A block whose ancestor is gone cannot be trained again, nor does it serve.
      if let assignment = state.blocks[key].flatMap({ state.assignment(for: $0.slot) }) {
        return assignment
      }
    }
    return nil
  }

  /// Whether no connected key is better placed: one that has not trained the block, and then one
  /// that has not failed to train it again.
  private func mayAudit(_ key: BlockKey, _ identity: PeerIdentity) -> Bool {
    let attempts = audit.attempts[key]
    guard attempts?.notBefore ?? .min <= now.monotonic else { return false }
    let trainer = state.blocks[key]?.trainer
    func rank(_ candidate: PeerIdentity) -> Int {
      (candidate == trainer ? 2 : 0) + (attempts?.failedBy.contains(candidate) == true ? 1 : 0)
    }
    let own = rank(identity)
    return own == 0 || !trainersByKey.keys.contains { rank($0) < own }
  }

  /// Counts a second training of a standing block.
  mutating func noteAudit(of key: BlockKey, by identity: PeerIdentity, isSame: Bool) {
    guard let place = audit.waiting.firstIndex(of: key) else { return }
    audit.waiting.remove(at: place)
    audit.attempts[key] = nil
    audit.checked += 1
    if isSame { audit.matched += 1 }
    if state.blocks[key]?.trainer == identity { audit.repeated += 1 }
  }

  mutating func noteAuditFailure(of key: BlockKey, reason: String, by identity: PeerIdentity) {
    noteAudit(of: key, reason: reason) { attempts in
      attempts.failureCount += 1
      attempts.failedBy.insert(identity)
    }
  }

  mutating func noteAuditLoss(of key: BlockKey, reason: String, by identity: PeerIdentity) {
    noteAudit(of: key, reason: reason) { $0.lossCount += 1 }
  }

  private mutating func noteAudit(
    of key: BlockKey, reason: String, _ count: (inout AuditAttempts) -> Void
  ) {
    guard let place = audit.waiting.firstIndex(of: key) else { return }
    var attempts = audit.attempts[key] ?? AuditAttempts()
    count(&attempts)
    let total = attempts.failureCount + attempts.lossCount
    attempts.notBefore = now.monotonic + Self.firstAuditPause << Milliseconds(min(total - 1, 8))
    guard attempts.failureCount < Self.auditAttempts, attempts.lossCount < Self.auditLosses else {
      audit.waiting.remove(at: place)
      audit.attempts[key] = nil
      audit.abandoned += 1
      let slot = state.blocks[key]?.slot
      let placeName = slot.map { "\($0.shard)/\($0.sequence)/\($0.stage)" } ?? "that is gone"
      return raise(
        "the audit of block \(key) at \(placeName) was given up after \(total) attempts: \(reason)")
    }
    audit.attempts[key] = attempts
  }
}
