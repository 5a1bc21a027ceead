import CoordinatorCore
import Hashing
import Unlearning

/// What a run must come to, from its records and its deletions alone: no leases, workers, journal,
/// messages or time. It knows which records are left, and trains everything on them at once.
struct ReferenceModel: Sendable {
  struct Block: Equatable, Sendable {
    var key: BlockKey
    var artifact: Digest
  }

  private let run: RunDescription
  private let plan: RunPlan
  private let numericClass: String
  /// Live records' digests by slice.
  private var slices: [SliceLocation: [RecordTag: Digest]] = [:]
  private(set) var deleted: Set<RecordTag> = []
  /// Blocks of the present records, as far as someone asked; a deletion forgets its shard's.
  private var known: [BlockSlot: Block] = [:]

  init(_ run: RunDescription, _ plan: RunPlan, numericClass: String, records: [SimulatedRecord]) {
    self.run = run
    self.plan = plan
    self.numericClass = numericClass
    for record in records { slices[record.location, default: [:]][record.tag] = record.digest }
  }

  mutating func delete(_ tag: RecordTag) {
    guard let location = slices.first(where: { $0.value[tag] != nil })?.key else { return }
    slices[location]?[tag] = nil
    deleted.insert(tag)
    known = known.filter { $0.key.shard != location.shard }
  }

  /// The blocks of a fresh run whose lineage reads one of these slices, by its own look at orders.
  mutating func blocks(reading slices: [SliceLocation]) -> [(slot: BlockSlot, block: Block)] {
    var found: [(slot: BlockSlot, block: Block)] = []
    for shard in Set(slices.map(\.shard)).sorted() {
      let read = Set(slices.filter { $0.shard == shard }.map(\.slice))
      for (sequence, order) in plan.sequences.map(\.order).enumerated() {
        for stage in 1...order.count where !read.isDisjoint(with: order.prefix(stage)) {
          let slot = BlockSlot(shard: shard, sequence: sequence, stage: stage)
          found.append((slot, block(at: slot)))
        }
      }
    }
    return found
  }

  /// The block that a fresh run on the retained records trains at a slot.
  mutating func block(at slot: BlockSlot) -> Block {
    if let block = known[slot] { return block }
    var ancestors: [Block] = []
    for stage in 1..<slot.stage {
      ancestors.append(
        block(at: BlockSlot(shard: slot.shard, sequence: slot.sequence, stage: stage)))
    }
    let order = plan.sequences[slot.sequence].order
    let read =
      run.stageData == .cumulative ? Array(order.prefix(slot.stage)) : [order[slot.stage - 1]]
    let digests = read.map { slice in
      LineageDigest.slice(
        recordDigests: (slices[SliceLocation(shard: slot.shard, slice: slice)] ?? [:]).values)
    }
    let key = BlockIngredients(
      numericClass: LineageDigest.numericClass(numericClass), backbone: run.backbone,
      recipe: LineageDigest.recipe(run.recipe), layers: plan.layerGroups[slot.stage - 1],
      seed: LineageDigest.stageSeed(runSeed: run.seed, slot: slot, plan: plan),
      parent: ancestors.last?.key, slices: digests
    ).key
    let artifact = SimulatedTraining.artifact(
      of: key, slices: digests, ancestors: ancestors.map(\.artifact))
    let block = Block(key: key, artifact: SHA256.hash(artifact))
    known[slot] = block
    return block
  }
}
