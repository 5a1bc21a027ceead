import Hashing
import Unlearning

/// The durable state of a run: what replaying its journal gives.
///
/// Invariants, kept by `apply` alone:
/// - `expectedKeys` holds, for every slot, the key computed from the records retained now;
/// - a slot is trained exactly if `blocks` holds its expected key, so that a block which saw a
///   deleted record stops being served in the very step that applies the deletion;
/// - a tag is live or deleted, never both.
package struct RunState: Equatable, Sendable {
  package let run: RunDescription
  package let plan: RunPlan
  package let recipeDigest: Digest

  package private(set) var term: UInt32 = 0
  package private(set) var numericClass: String?
  package private(set) var isTrainingRequested = false
  /// Latest time someone asked for training or repair by hand.
  package private(set) var repairRequestedAt: Milliseconds?

  /// Live records.
  package private(set) var records: [RecordTag: LiveRecord] = [:]
  /// Slices by shard and slice.
  package private(set) var slices: [[SliceState]]
  package private(set) var deletedTags: [RecordTag: UInt64] = [:]
  /// Deletions in order; deletion n is element n − 1.
  package private(set) var deletions: [Deletion] = []

  package private(set) var blocks: [BlockKey: CommittedBlock] = [:]
  package private(set) var expectedKeys: [BlockSlot: BlockKey] = [:]
  /// Slots that were trained once and lost their block to a deletion, with the time.
  package private(set) var maskedSince: [BlockSlot: Milliseconds] = [:]
  package private(set) var quarantinedKeys: Set<BlockKey> = []

  /// Slices whose file still holds deleted records.
  package private(set) var slicesToPurge: Set<SliceLocation> = []
  /// Artifacts of blocks that are no longer any slot's.
  package private(set) var artifactsToPurge: Set<Digest> = []

  /// Begins a run; the journal's first entry must be `created`.
  package init(_ run: RunDescription) throws(PlanError) {
    self.run = run
    plan = try run.plan()
    recipeDigest = LineageDigest.recipe(run.recipe)
    slices = Array(
      repeating: Array(repeating: SliceState(), count: plan.sliceCount), count: plan.shardCount)
  }

  /// Changes state by one durable fact; recovery calls it with entries read back.
  package mutating func apply(_ entry: JournalEntry) {
    switch entry {
    case .created: preconditionFailure("a run is created once, as its journal's first entry")
    case .ingested(let ingested):
      for slice in ingested {
        for record in slice.records {
          records[record.tag] = LiveRecord(location: slice.location, digest: record.digest)
          slices[slice.location.shard][slice.location.slice].digests[record.tag] = record.digest
        }
      }
      for shard in slices.indices { refreshKeys(ofShard: shard) }
    case .started(let term, _): self.term = term
    case .numericClassPinned(let description):
      numericClass = description
      for shard in slices.indices { refreshKeys(ofShard: shard) }
    case .trainingRequested(let at):
      isTrainingRequested = true
      repairRequestedAt = at
    case .committed(let block):
      blocks[block.key] = block
      // Bytes that were on their way out are wanted again.
      artifactsToPurge.remove(block.artifact)
      for slot in plan.slots(ofShard: block.slot.shard) where expectedKeys[slot] == block.key {
        maskedSince[slot] = nil
      }
    case .deleted(let number, let tags, let at): delete(tags, number: number, at: at)
    case .purged(let number, let purgedSlices, let artifacts, let at):
      // A later deletion in the same slice keeps it on the list.
      let dirtyAgain = Set(deletions.dropFirst(Int(number)).flatMap(\.locations))
      slicesToPurge.subtract(Set(purgedSlices).subtracting(dirtyAgain))
      artifactsToPurge.subtract(artifacts)
      for index in deletions.indices.prefix(Int(number)) where deletions[index].purgedAt == nil {
        deletions[index].purgedAt = at
      }
    case .repaired(let number, let at): deletions[Int(number) - 1].repairedAt = at
    case .quarantined(let key, let at):
      quarantinedKeys.insert(key)
      withdraw(key, at: at)
    case .artifactLost(let key, let at): withdraw(key, at: at)
    }
  }

  private mutating func delete(_ tags: [RecordTag], number: UInt64, at: Milliseconds) {
    var locations: Set<SliceLocation> = []
    for tag in tags {
      guard let record = records.removeValue(forKey: tag) else { continue }
      slices[record.location.shard][record.location.slice].digests[tag] = nil
      deletedTags[tag] = number
      locations.insert(record.location)
    }
    var maskedSlots: [BlockSlot] = []
    for shard in Set(locations.map(\.shard)).sorted() {
      let before = trainedBlocks(ofShard: shard)
      refreshKeys(ofShard: shard)
      maskedSlots += mask(before, shard: shard, at: at)
    }
    slicesToPurge.formUnion(locations)
    deletions.append(
      Deletion(
        number: number, tags: tags, locations: locations.sorted(), maskedSlots: maskedSlots,
        acceptedAt: at))
  }

  /// Takes one block out of service although its records are the retained ones.
  private mutating func withdraw(_ key: BlockKey, at: Milliseconds) {
    guard let block = blocks[key] else { return }
    let before = trainedBlocks(ofShard: block.slot.shard)
    blocks[key] = nil
    mask(before, shard: block.slot.shard, at: at)
  }

  private func trainedBlocks(ofShard shard: Int) -> [(slot: BlockSlot, block: CommittedBlock)] {
    plan.slots(ofShard: shard).compactMap { slot in block(at: slot).map { (slot, $0) } }
  }

  /// Records which slots lost the block they had `before` a change, and frees what they held.
  @discardableResult
  private mutating func mask(
    _ before: [(slot: BlockSlot, block: CommittedBlock)], shard: Int, at: Milliseconds
  ) -> [BlockSlot] {
    let masked = before.map(\.slot).filter { block(at: $0) == nil }
    for slot in masked { maskedSince[slot] = at }
    let keysNow = Set(plan.slots(ofShard: shard).compactMap { expectedKeys[$0] })
    for (_, block) in before where !keysNow.contains(block.key) { blocks[block.key] = nil }
    // Two keys may name one artifact (empty stages do); it goes with its last owner.
    let live = Set(blocks.values.map(\.artifact))
    artifactsToPurge.formUnion(before.map(\.block.artifact).filter { !live.contains($0) })
    return masked
  }

  private mutating func refreshKeys(ofShard shard: Int) {
    guard let numericClass else { return }
    let numericClassDigest = LineageDigest.numericClass(numericClass)
    let sliceDigests = slices[shard].map(\.digest)
    for slot in plan.slots(ofShard: shard) {
      expectedKeys[slot] =
        BlockIngredients(
          numericClass: numericClassDigest, backbone: run.backbone, recipe: recipeDigest,
          layers: plan.layerGroups[slot.stage - 1],
          seed: LineageDigest.stageSeed(runSeed: run.seed, slot: slot, plan: plan),
          parent: slot.parent.flatMap { expectedKeys[$0] },
          slices: plan.slicesRead(by: slot).map { sliceDigests[$0] }
        ).key
    }
  }
}

/// A record that is part of the run.
package struct LiveRecord: Equatable, Sendable {
  package let location: SliceLocation
  package let digest: Digest
}

package struct SliceState: Equatable, Sendable {
  package var digests: [RecordTag: Digest] = [:]

  /// The slice's part in block keys.
  package var digest: Digest { LineageDigest.slice(recordDigests: digests.values) }
}

/// One accepted request to delete records.
package struct Deletion: Equatable, Sendable {
  package let number: UInt64
  package let tags: [RecordTag]
  package let locations: [SliceLocation]
  /// Slots that lost a trained block.
  package let maskedSlots: [BlockSlot]
  /// Accepted and masked are one durable step, so one time.
  package let acceptedAt: Milliseconds
  package var purgedAt: Milliseconds?
  package var repairedAt: Milliseconds?
}
