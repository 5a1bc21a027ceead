import Hashing
import Unlearning

/// What the block of a slot must be, by the plan and the records retained now: all that a shell
/// needs to judge what a worker hands in before this coordinator hears of it.
package struct BlockDemand: Equatable, Sendable {
  package let slot: BlockSlot
  package let key: BlockKey
  /// The layers whose adapters it has; none where there is nothing to train on.
  package let layers: Range<Int>
  /// Whether the stage reads no record: it hands on the head of the block before it.
  package let isEmpty: Bool
  /// The block before it, where one stands.
  package let parent: Digest?
  package let stepCount: UInt64
  /// Records seen, counted once an epoch.
  package let exampleCount: UInt64
  /// Slices that the stage reads.
  package let sliceCount: Int
}

extension RunState {
  /// - Returns: `nil` while the slot has no key.
  package func demand(of slot: BlockSlot) -> BlockDemand? {
    guard let key = expectedKeys[slot] else { return nil }
    let read = plan.slicesRead(by: slot)
    let recordCount = read.reduce(0) { $0 + slices[slot.shard][$1].recordCount }
    let layers = plan.layerGroups[slot.stage - 1]
    return BlockDemand(
      slot: slot, key: key,
      layers: recordCount == 0 ? layers.lowerBound..<layers.lowerBound : layers,
      isEmpty: recordCount == 0, parent: slot.parent.flatMap { block(at: $0)?.artifact },
      stepCount: UInt64(run.recipe.stepCount(recordCount: recordCount)),
      exampleCount: UInt64(run.recipe.exampleCount(recordCount: recordCount)),
      sliceCount: read.count)
  }
}

extension Coordinator {
  /// What an upload must be to be decided on: one under a lease, or of a block that stands.
  ///
  /// - Returns: `nil` for a lease that has ended and a block that is not there: it comes too late.
  package func demand(ofUpload key: BlockKey, epoch: UInt64, from id: WorkerID) -> BlockDemand? {
    if let lease = leases[epoch: epoch], lease.worker == id, lease.key == key,
      state.expectedKeys[lease.slot] == key
    {
      return state.demand(of: lease.slot)
    }
    guard let block = state.blocks[key], state.expectedKeys[block.slot] == key else { return nil }
    return state.demand(of: block.slot)
  }

  /// Whether a checkpoint after that many steps can be one of the block that a worker trains.
  package func admitsCheckpoint(step: UInt32, of key: BlockKey, epoch: UInt64, from id: WorkerID)
    -> Bool
  {
    guard let lease = lease(wanting: step, of: key, epoch: epoch, from: id),
      let demand = state.demand(of: lease.slot)
    else { return false }
    return UInt64(step) <= demand.stepCount
  }

  /// How far a lease has come, as far as that can be: a worker may claim any number.
  package func progress(of lease: Lease) -> StageProgress {
    let claimed = lease.progress
    guard let stepCount = state.demand(of: lease.slot)?.stepCount else { return claimed }
    let total = UInt32(clamping: stepCount)
    return StageProgress(
      step: min(claimed.step, total), totalSteps: claimed.totalSteps == 0 ? 0 : total)
  }
}
