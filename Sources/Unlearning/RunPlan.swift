import Hashing

/// How a run divides records and layers: the shape of the whole ensemble.
package struct RunPlan: Equatable, Sendable {
  /// Disjoint parts of the records, one ensemble member each.
  package let shardCount: Int
  /// Parts of a shard, and so blocks in a sequence.
  package let sliceCount: Int
  /// Orders of a shard's slices that are trained.
  package let sequenceCount: Int
  /// Which slices a stage reads.
  package let stageData: StageData
  /// The layers each stage trains; element 0 is stage 1, the topmost group.
  package let layerGroups: [Range<Int>]
  /// The slice orders, the same in every shard.
  package let sequences: [SliceSequence]

  /// What a plan may have; keys are computed for every slot, so a shape is also an amount of work.
  package static let shardLimit = 4096
  package static let sliceLimit = 128
  package static let sequenceLimit = 256
  package static let slotLimit = 1 << 20

  /// See `ShapeOptions.sliceThresholds`.
  package let sliceThresholds: [Double]?

  /// Checks the shape and derives layer groups and sequences from it.
  ///
  /// - Throws: `PlanError` naming the number that does not fit and what would.
  package init(
    shardCount: Int, sliceCount: Int, sequenceCount: Int, layerCount: Int, stageData: StageData,
    options: ShapeOptions = ShapeOptions()
  ) throws(PlanError) {
    guard (1...Self.shardLimit).contains(shardCount) else { throw .shardCount(shardCount) }
    guard (1...Self.sliceLimit).contains(sliceCount) else {
      throw .sliceCount(sliceCount, layerCount: layerCount)
    }
    guard (1...Self.sequenceLimit).contains(sequenceCount),
      shardCount * sliceCount * sequenceCount <= Self.slotLimit
    else { throw .sequenceCount(sequenceCount, sliceCount: sliceCount) }
    if let counts = options.layersPerBlock {
      layerGroups = try Self.groups(of: counts, sliceCount: sliceCount, layerCount: layerCount)
    } else {
      guard sliceCount <= layerCount else {
        throw .sliceCount(sliceCount, layerCount: layerCount)
      }
      layerGroups = Self.topDownGroups(layerCount: layerCount, groupCount: sliceCount)
    }
    sequences =
      options.orders ?? SliceSequence.cyclic(sliceCount: sliceCount, count: sequenceCount)
    guard sequences.count == sequenceCount, Set(sequences).count == sequenceCount,
      sequences.allSatisfy({ $0.order.sorted() == Array(0..<sliceCount) })
    else { throw .sequenceCount(sequenceCount, sliceCount: sliceCount) }
    if let thresholds = options.sliceThresholds {
      guard thresholds.count == sliceCount - 1, thresholds.allSatisfy({ (0...1).contains($0) }),
        zip(thresholds, thresholds.dropFirst()).allSatisfy(<)
      else { throw .sliceThresholds(thresholds, sliceCount: sliceCount) }
    }
    sliceThresholds = options.sliceThresholds
    self.shardCount = shardCount
    self.sliceCount = sliceCount
    self.sequenceCount = sequenceCount
    self.stageData = stageData
  }

  /// Groups of the sizes asked for, from the top.
  private static func groups(of counts: [Int], sliceCount: Int, layerCount: Int)
    throws(PlanError) -> [Range<Int>]
  {
    guard counts.count == sliceCount, counts.allSatisfy({ (0...layerCount).contains($0) }),
      counts.reduce(0, +) <= layerCount
    else { throw .layersPerBlock(counts, sliceCount: sliceCount, layerCount: layerCount) }
    var upper = layerCount
    return counts.map { count in
      defer { upper -= count }
      return upper - count..<upper
    }
  }

  /// Splits layers into contiguous groups from the top; the upper groups take the remainder.
  ///
  /// Six layers in four groups are `[4, 5] [2, 3] [1] [0]`. Groups are index ranges, never name
  /// patterns: "layer.2" as a substring would also find layers 20 to 29.
  package static func topDownGroups(layerCount: Int, groupCount: Int) -> [Range<Int>] {
    let (size, larger) = layerCount.quotientAndRemainder(dividingBy: groupCount)
    var upper = layerCount
    return (0..<groupCount).map { group in
      let lower = upper - size - (group < larger ? 1 : 0)
      defer { upper = lower }
      return lower..<upper
    }
  }

  /// The lowest layers of the stages after one, the next first, as far as its own layers tell.
  ///
  /// Several plans may have the same layers at the same stage; of those it is the one with the
  /// fewest groups. Good enough to guess what will be wanted, and for nothing else.
  package static func stageStarts(after stage: Int, layers: Range<Int>, layerCount: Int) -> [Int] {
    guard stage >= 1, stage <= layerCount else { return [] }
    for groupCount in stage...layerCount {
      let groups = topDownGroups(layerCount: layerCount, groupCount: groupCount)
      if groups[stage - 1] == layers { return groups[stage...].map(\.lowerBound) }
    }
    return []
  }

  /// The slices a stage reads, in the order of its sequence.
  package func slicesRead(by slot: BlockSlot) -> [Int] {
    let order = sequences[slot.sequence].order
    return switch stageData {
    case .cumulative: Array(order.prefix(slot.stage))
    case .disjoint: [order[slot.stage - 1]]
    }
  }

  /// Every slot that depends on a slice: in each sequence, its position and all after it.
  package func slots(dependingOn slice: SliceLocation) -> [BlockSlot] {
    sequences.indices.flatMap { sequence in
      let firstStage = sequences[sequence].order.firstIndex(of: slice.slice)! + 1
      return (firstStage...sliceCount).map {
        BlockSlot(shard: slice.shard, sequence: sequence, stage: $0)
      }
    }
  }

  /// Every slot that depends on one of several slices, each once, in order.
  package func slots(dependingOn slices: [SliceLocation]) -> [BlockSlot] {
    var slots: Set<BlockSlot> = []
    for slice in slices { slots.formUnion(self.slots(dependingOn: slice)) }
    return slots.sorted()
  }

  /// The slots whose block is this one's: sequences that begin with the same slices share it.
  package func slots(sharing slot: BlockSlot) -> [BlockSlot] {
    let prefix = sequences[slot.sequence].order.prefix(slot.stage)
    return sequences.indices.filter { sequences[$0].order.starts(with: prefix) }.map {
      BlockSlot(shard: slot.shard, sequence: $0, stage: slot.stage)
    }
  }

  /// All slots of one shard, by sequence and stage.
  package func slots(ofShard shard: Int) -> [BlockSlot] {
    sequences.indices.flatMap { sequence in
      (1...sliceCount).map { BlockSlot(shard: shard, sequence: sequence, stage: $0) }
    }
  }

  package var slotCount: Int { shardCount * sequenceCount * sliceCount }

  package var allSlots: [BlockSlot] { (0..<shardCount).flatMap(slots(ofShard:)) }

  /// The sequence whose seed a slot trains with: the first that begins with the same slices.
  ///
  /// Sequences beyond the first L share prefixes; with one seed a shared prefix is one block with
  /// one key, trained once.
  package func seedSequence(of slot: BlockSlot) -> Int {
    let prefix = sequences[slot.sequence].order.prefix(slot.stage)
    return sequences.firstIndex { $0.order.starts(with: prefix) }!
  }
}

/// Which slices a stage trains on.
package enum StageData: String, Codable, CaseIterable, Sendable {
  /// The union of the sequence's first i slices, as in the reference implementation.
  case cumulative
  /// Slice i alone.
  case disjoint
}

/// Why a run's shape cannot be.
package enum PlanError: Error, Equatable, Sendable {
  case shardCount(Int)
  /// Without `layersPerBlock` a stage trains at least one layer, so there are at most as many
  /// slices as layers.
  case sliceCount(Int, layerCount: Int)
  /// There are only `sliceCount!` orders of the slices; or a plan may have no more of them, or of
  /// slots in all.
  case sequenceCount(Int, sliceCount: Int)
  /// Not one number per slice, or more layers than there are.
  case layersPerBlock([Int], sliceCount: Int, layerCount: Int)
  /// Not one probability less than slices, or not ascending.
  case sliceThresholds([Double], sliceCount: Int)
}

/// The slice a record lies in.
package struct SliceLocation: Hashable, Comparable, Sendable {
  package let shard: Int
  package let slice: Int

  package init(shard: Int, slice: Int) {
    self.shard = shard
    self.slice = slice
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.shard, left.slice) < (right.shard, right.slice)
  }
}

/// A block's place in the run; what is trained there has a `BlockKey`.
package struct BlockSlot: Hashable, Comparable, Sendable {
  package let shard: Int
  package let sequence: Int
  /// 1 is the topmost layers.
  package let stage: Int

  package init(shard: Int, sequence: Int, stage: Int) {
    self.shard = shard
    self.sequence = sequence
    self.stage = stage
  }

  /// One word: slots are looked up far more often than anything else.
  package func hash(into hasher: inout Hasher) {
    hasher.combine(shard << 32 ^ sequence << 16 ^ stage)
  }

  /// The slot trained just before, on which this one is built.
  package var parent: BlockSlot? {
    stage == 1 ? nil : BlockSlot(shard: shard, sequence: sequence, stage: stage - 1)
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.shard, left.sequence, left.stage) < (right.shard, right.sequence, right.stage)
  }
}
