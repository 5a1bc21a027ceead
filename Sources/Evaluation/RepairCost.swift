package import Unlearning

/// What it takes to train: counted on the plan, not measured.
package struct RepairCost: Codable, Equatable, Sendable {
  /// Different blocks.
  package private(set) var blocks: Double = 0
  /// Slices read, once for every block that reads them.
  package private(set) var slicePasses: Double = 0
  /// Records read in the same way, in one epoch.
  package private(set) var recordPasses: Double = 0
  /// The same times the layers from the block's lowest to the top, which is what a pass costs.
  package private(set) var layerPasses: Double = 0

  private init() {}

  /// All blocks of some slots, those that several sequences share counted once.
  ///
  /// - Parameter recordCount: the records of a slice.
  package init(
    _ slots: [BlockSlot], _ plan: RunPlan, layerCount: Int, recordCount: (SliceLocation) -> Int
  ) {
    var seen: Set<[Int]> = []
    for slot in slots {
      let order = plan.sequences[slot.sequence].order
      guard seen.insert([slot.shard] + order.prefix(slot.stage)).inserted else { continue }
      let slices = plan.slicesRead(by: slot)
      let records = slices.reduce(0) {
        $0 + recordCount(SliceLocation(shard: slot.shard, slice: $1))
      }
      blocks += 1
      slicePasses += Double(slices.count)
      recordPasses += Double(records)
      layerPasses += Double(
        records * (layerCount - plan.layerGroups[slot.stage - 1].lowerBound))
    }
  }

  /// One adapter over all layers on all records, which are then one slice.
  package static func fullRetraining(recordCount: Int, layerCount: Int) -> RepairCost {
    var cost = RepairCost()
    cost.blocks = 1
    cost.slicePasses = 1
    cost.recordPasses = Double(recordCount)
    cost.layerPasses = Double(recordCount * layerCount)
    return cost
  }

  /// The mean over deletions that fall on every record alike.
  ///
  /// - Parameter sequenceCount: only the first so many sequences; one is SISA.
  package static func perDeletion(
    _ plan: RunPlan, layerCount: Int, sequenceCount: Int, recordCount: (SliceLocation) -> Int
  ) -> RepairCost {
    var mean = RepairCost()
    var whole = 0.0
    for shard in 0..<plan.shardCount {
      for slice in 0..<plan.sliceCount {
        let place = SliceLocation(shard: shard, slice: slice)
        let slots = plan.slots(dependingOn: place).filter { $0.sequence < sequenceCount }
        let cost = RepairCost(slots, plan, layerCount: layerCount, recordCount: recordCount)
        let weight = Double(recordCount(place))
        whole += weight
        mean.add(cost, weight)
      }
    }
    guard whole > 0 else { return mean }
    var result = RepairCost()
    result.add(mean, 1 / whole)
    return result
  }

  private mutating func add(_ other: RepairCost, _ weight: Double) {
    blocks += weight * other.blocks
    slicePasses += weight * other.slicePasses
    recordPasses += weight * other.recordPasses
    layerPasses += weight * other.layerPasses
  }
}
