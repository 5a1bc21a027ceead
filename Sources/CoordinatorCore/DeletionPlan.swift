import ByteCoding
import Hashing
import Unlearning

/// What deleting records would do: decided from the state alone, changing nothing.
package struct DeletionPlan: Equatable, Sendable {
  package struct Shard: Equatable, Sendable {
    package let shard: Int
    package let depthBefore: Int
    package let depthAfter: Int
  }

  /// Slices that lose a record.
  package let locations: [SliceLocation]
  /// Slots that lose a trained block, parents first.
  package let maskedSlots: [BlockSlot]
  /// Shards that lose a block or a record.
  package let shards: [Shard]
  /// Passes over a slice's records that repair takes: epochs times the slices each block reads.
  package let stagePasses: Int
  /// Records to train on, counted once an epoch, for every masked slot.
  package let examples: [BlockSlot: Int]
  /// Covers everything above and the blocks concerned: a plan with another fingerprint is stale.
  package let fingerprint: Digest
}

extension Coordinator {
  /// The slots that would lose a trained block, parents first.
  func slotsMasked(byDeleting tags: [RecordTag]) -> [BlockSlot] {
    state.plan.slots(dependingOn: Set(tags.compactMap { records[$0]?.location }).sorted())
      .filter { state.block(at: $0) != nil }
  }

  /// The effect of deleting these records; tags that are not live add nothing.
  package func deletionPlan(for tags: [RecordTag]) -> DeletionPlan {
    var gone: [SliceLocation: Set<RecordTag>] = [:]
    for tag in tags {
      if let record = records[tag] { gone[record.location, default: []].insert(tag) }
    }
    let plan = state.plan
    let locations = gone.keys.sorted()
    let dependent = plan.slots(dependingOn: locations)
    let masked = slotsMasked(byDeleting: tags)
    let lost = Set(dependent)
    let shards = Set(locations.map(\.shard)).sorted().map { shard in
      let after = plan.sequences.indices.map { sequence in
        let depth = state.depth(shard: shard, sequence: sequence)
        return (1...plan.sliceCount).first {
          $0 > depth || lost.contains(BlockSlot(shard: shard, sequence: sequence, stage: $0))
        }.map { $0 - 1 } ?? plan.sliceCount
      }
      return DeletionPlan.Shard(
        shard: shard, depthBefore: state.servedPrefix(shard: shard)?.depth ?? 0,
        depthAfter: after.max() ?? 0)
    }
    var examples: [BlockSlot: Int] = [:]
    var stagePasses = 0
    for slot in masked {
      let read = plan.slicesRead(by: slot)
      stagePasses += read.count * state.run.recipe.epochs
      examples[slot] =
        state.run.recipe.epochs
        * read.reduce(0) { sum, slice in
          let location = SliceLocation(shard: slot.shard, slice: slice)
          return sum + state.slices[slot.shard][slice].recordCount - (gone[location]?.count ?? 0)
        }
    }
    var writer = CanonicalWriter()
    writer.write("lethe-deletion-plan-1")
    writer.write(gone.values.flatMap { $0 }.sorted()) { $0.write($1.digest) }
    writer.write(dependent) { writer, slot in
      writer.write(slot)
      writer.write(state.block(at: slot)) { $0.write($1.key.digest) }
    }
    return DeletionPlan(
      locations: locations, maskedSlots: masked, shards: shards, stagePasses: stagePasses,
      examples: examples, fingerprint: SHA256.hash(writer.bytes))
  }
}
