import Hashing
import Unlearning

// What happens when a block that stands is trained a second time.

extension Coordinator {
  /// Compares a result with the block that stands under its key.
  ///
  /// Only a lease that was granted for the block gives a say: an audit, or a second worker on a
  /// block whose first was quicker.
  mutating func compare(
    _ upload: Upload, with block: CommittedBlock, from worker: WorkerState, _ id: WorkerID,
    in step: inout Step
  ) {
    let isSame = block.artifact == upload.artifact
    let hasSay = takeSay(upload, id)
    defer { discard(upload.artifact, in: &step) }
    guard hasSay || isSame else {
      leaseTroubles.staleCompletions += 1
      return step.effects.append(.refused(id, upload.epoch, .staleLease))
    }
    step.effects.append(.refused(id, upload.epoch, isSame ? .confirmed : .alreadyCommitted))
    guard hasSay else { return }
    noteAudit(of: upload.key, by: worker.identity, isSame: isSame)
    noteSuccess(of: worker.identity)
    guard !isSame else { return }
    let bits = "block \(upload.key) came out as \(block.artifact) and as \(upload.artifact)"
    guard block.trainer != worker.identity else {
      // The same key twice: nobody else's word is at stake, and its bits are not determined.
      raise("\(bits), both from key \(worker.identity)")
      return record(.quarantined(upload.key, at: now.wall), in: &step)
    }
    let first = block.trainer.map { "key \($0)" } ?? block.worker
    raise("\(bits), from \(first) and key \(worker.identity): a third key has to decide")
    record(
      .disputed(
        upload.key,
        [
          BlockOpinion(identity: block.trainer, artifact: block.artifact),
          BlockOpinion(identity: worker.identity, artifact: upload.artifact),
        ], at: now.wall), in: &step)
  }

  /// Ends the lease that gives an upload for a standing block its say; `false` without one.
  private mutating func takeSay(_ upload: Upload, _ id: WorkerID) -> Bool {
    if let lease = leases[epoch: upload.epoch], lease.key == upload.key, lease.worker == id {
      end(lease)
      return true
    }
    guard let lease = supplanted[upload.epoch], lease.key == upload.key, lease.worker == id else {
      return false
    }
    supplanted[upload.epoch] = nil
    return true
  }

  /// Hears another key on a disputed block; whether its bytes are to be committed.
  ///
  /// Two keys that say the same decide. Where three say three different things, nobody's bytes
  /// can be trusted, and the block is quarantined.
  mutating func settleDispute(
    _ upload: Upload, by identity: PeerIdentity, _ id: WorkerID, in step: inout Step
  ) -> Bool {
    guard let dispute = state.disputes[upload.key], !dispute.opinions.isEmpty else { return true }
    let others = dispute.opinions.filter { $0.identity != identity }
    if others.contains(where: { $0.artifact == upload.artifact }) {
      let wrong = others.filter { $0.artifact != upload.artifact }.map(\.name)
      raise(
        "block \(upload.key): two keys gave \(upload.artifact), which stands now; other bits came "
          + "from \(wrong.joined(separator: ", "))")
      return true
    }
    step.effects.append(.refused(id, upload.epoch, .disputed))
    discard(upload.artifact, in: &step)
    let opinions = others + [BlockOpinion(identity: identity, artifact: upload.artifact)]
    guard opinions.count <= Self.keysBeforeQuarantine - 1 else {
      raise("block \(upload.key) came out differently from \(opinions.count) keys")
      record(.quarantined(upload.key, at: now.wall), in: &step)
      return false
    }
    record(.disputed(upload.key, opinions, at: now.wall), in: &step)
    return false
  }

  /// Keys that must all differ before a block counts as one that nobody can train twice.
  private static let keysBeforeQuarantine = 3
}
