import ByteCoding
import Hashing
import Unlearning

/// Standing blocks that are trained again to see whether the same bits come out.
package struct AuditProgress: Equatable, Sendable {
  /// Blocks still to be trained again, in the order they were chosen.
  package internal(set) var waiting: [BlockKey] = []
  /// Blocks trained again since this process began.
  package internal(set) var checked = 0
  /// Of those, the ones with the same bytes.
  package internal(set) var matched = 0

  /// Share of matches; `nil` before the first.
  package var matchRate: Double? { checked > 0 ? Double(matched) / Double(checked) : nil }
}

extension Coordinator {
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

  /// A block for this worker to train again, by someone else than who trained it if there is one.
  mutating func nextAudit(for id: WorkerID) -> BlockAssignment? {
    audit.waiting.removeAll { state.blocks[$0] == nil }
    let name = workers[id]?.introduction.name
    let hasOthers = trainersByHost.values.reduce(0, +) > 1
    for key in audit.waiting
    where leases[key] == nil && !(hasOthers && state.blocks[key]?.worker == name) {
      // A block whose ancestor is gone cannot be trained again, nor does it serve.
      if let assignment = state.blocks[key].flatMap({ state.assignment(for: $0.slot) }) {
        return assignment
      }
    }
    return nil
  }

  /// Counts a second training of a standing block.
  mutating func noteAudit(of upload: Upload, from id: WorkerID, isSame: Bool) {
    guard let lease = leases[epoch: upload.epoch], lease.key == upload.key, lease.worker == id
    else { return }
    end(lease)
    guard let place = audit.waiting.firstIndex(of: upload.key) else { return }
    audit.waiting.remove(at: place)
    audit.checked += 1
    if isSame { audit.matched += 1 }
  }
}
