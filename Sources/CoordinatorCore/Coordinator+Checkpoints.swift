import Unlearning

/// A checkpoint with the place of the block that it belongs to.
package struct KeptCheckpoint: Equatable, Sendable {
  package let slot: BlockSlot
  package let checkpoint: StageCheckpoint
}

extension Coordinator {
  /// Takes over what an earlier process kept, as far as it is still of use; what belongs to another
  /// numeric class waits until one is pinned.
  mutating func adoptCheckpoints(in step: inout Step) {
    guard !foundCheckpoints.isEmpty else { return }
    let found = foundCheckpoints
    for (slot, key) in state.expectedKeys where state.block(at: slot) == nil {
      guard let checkpoint = found[key] else { continue }
      // Of several slots with this key the least, whatever the order they come in.
      let place = min(checkpoints[key]?.slot ?? slot, slot)
      checkpoints[key] = KeptCheckpoint(slot: place, checkpoint: checkpoint)
    }
    foundCheckpoints = found.filter { checkpoints[$0.key] == nil }
    guard state.numericClass != nil else { return }
    for (key, checkpoint) in foundCheckpoints.sorted(by: { $0.key < $1.key }) {
      step.effects.append(.discardCheckpoint(key, checkpoint))
    }
    foundCheckpoints = [:]
  }

  /// The lease that a checkpoint comes with, if that trains the block and got further than what is
  /// kept; the shell asks before it stores any bytes.
  package func lease(wanting step: UInt32, of key: BlockKey, epoch: UInt64, from id: WorkerID)
    -> Lease?
  {
    guard let lease = leases[epoch: epoch], lease.worker == id, lease.key == key,
      lease.purpose == .training, step > checkpoints[key]?.checkpoint.step ?? 0
    else { return nil }
    return lease
  }

  /// Remembers a checkpoint whose bytes the shell has stored, if they came with a current lease.
  mutating func keep(
    _ checkpoint: StageCheckpoint, of key: BlockKey, epoch: UInt64, from id: WorkerID,
    in step: inout Step
  ) {
    let known = checkpoints[key]?.checkpoint
    guard checkpoint != known else { return }
    guard let lease = lease(wanting: checkpoint.step, of: key, epoch: epoch, from: id) else {
      return step.effects.append(.discardCheckpoint(key, checkpoint))
    }
    if let known { step.effects.append(.discardCheckpoint(key, known)) }
    checkpoints[key] = KeptCheckpoint(slot: lease.slot, checkpoint: checkpoint)
    // It got further: workers lost before say nothing about the block any more.
    failures[key]?.lossesByKey = [:]
  }

  mutating func dropCheckpoint(of key: BlockKey, in step: inout Step) {
    if let kept = checkpoints.removeValue(forKey: key) {
      step.effects.append(.discardCheckpoint(key, kept.checkpoint))
    }
  }

  /// Drops what belongs to keys that records no longer give.
  mutating func dropStaleCheckpoints(in step: inout Step) {
    let stale = checkpoints.filter { state.expectedKeys[$0.value.slot] != $0.key }.keys
    for key in stale.sorted() { dropCheckpoint(of: key, in: &step) }
  }
}
