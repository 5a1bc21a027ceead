import Hashing
import Ledger
import Unlearning

extension RunState {
  /// The block a slot serves: trained on exactly the records retained now.
  package func block(at slot: BlockSlot) -> CommittedBlock? {
    serves(slot) ? standing[slot].flatMap { blocks[$0] } : nil
  }

  /// Whether a slot has a block that may serve.
  package func serves(_ slot: BlockSlot) -> Bool {
    // Masking follows from positions, keys from contents: both must agree before anything serves.
    guard let key = standing[slot] else { return false }
    return key == expectedKeys[slot]
  }

  /// How many blocks of a sequence, from the first, can serve.
  package func depth(shard: Int, sequence: Int) -> Int {
    let firstGap = (1...plan.sliceCount).first {
      !serves(BlockSlot(shard: shard, sequence: sequence, stage: $0))
    }
    return firstGap.map { $0 - 1 } ?? plan.sliceCount
  }

  /// The deepest prefix of a shard, ties to the lowest sequence; `nil` where nothing can serve.
  ///
  /// - Parameter maximumDepth: Serve no more blocks than this; to ask what a shallower run answers.
  package func servedPrefix(shard: Int, maximumDepth: Int = .max) -> ServedPrefix? {
    var best: (sequence: Int, depth: Int)?
    for sequence in plan.sequences.indices {
      let depth = min(depth(shard: shard, sequence: sequence), maximumDepth)
      if depth > best?.depth ?? 0 { best = (sequence, depth) }
    }
    return best.map { prefix(shard: shard, sequence: $0.sequence, depth: $0.depth) }
  }

  /// What answers predictions now, by shard and sequence; nothing of a shard that has no block.
  package func servingView(
    _ rule: ServingRule = .deepest, maximumDepth: Int = .max
  ) -> [ServedPrefix] {
    switch rule {
    case .deepest:
      (0..<plan.shardCount).compactMap { servedPrefix(shard: $0, maximumDepth: maximumDepth) }
    case .everySequence:
      (0..<plan.shardCount).flatMap { shard in
        plan.sequences.indices.compactMap { sequence in
          let depth = min(depth(shard: shard, sequence: sequence), maximumDepth)
          return depth == 0 ? nil : prefix(shard: shard, sequence: sequence, depth: depth)
        }
      }
    }
  }

  /// - Precondition: so many blocks of the sequence can serve.
  private func prefix(shard: Int, sequence: Int, depth: Int) -> ServedPrefix {
    ServedPrefix(
      shard: shard, sequence: sequence,
      artifacts: (1...depth).map {
        block(at: BlockSlot(shard: shard, sequence: sequence, stage: $0))!.artifact
      })
  }

  /// Whether every block of an earlier view still belongs to its slot.
  ///
  /// An answer computed from a view for which this is false saw a record that has been deleted
  /// since.
  package func isCurrent(_ view: [ServedPrefix]) -> Bool {
    view.allSatisfy { prefix in
      prefix.artifacts.indices.allSatisfy { index in
        let slot = BlockSlot(shard: prefix.shard, sequence: prefix.sequence, stage: index + 1)
        return block(at: slot)?.artifact == prefix.artifacts[index]
      }
    }
  }

  /// Whether keys disagree about a block's bytes, and it takes another one to decide.
  package func isDisputed(_ key: BlockKey) -> Bool {
    disputes[key].map { !$0.opinions.isEmpty } ?? false
  }

  /// Slots that have an expected key but no block.
  package var untrainedSlots: [BlockSlot] {
    expectedKeys.keys.filter { block(at: $0) == nil }.sorted()
  }

  /// Whether a fresh run's block serves wherever a deletion reaches: at every slot whose lineage
  /// reads one of its slices, whichever deletion masked it, and also if none stood there then.
  ///
  /// While nobody has asked for training, a fresh run serves nothing, and neither does this one.
  package func isRepaired(_ deletion: Deletion) -> Bool {
    !isTrainingRequested || deletion.locations.allSatisfy(isServed)
  }

  /// How far a deletion has come as of now: a repair counts only while it holds.
  package func progress(of deletion: Deletion) -> DeletionState {
    deletion.state == .repaired && !isRepaired(deletion) ? .purged : deletion.state
  }

  /// Whether every slot serves that depends on a slice.
  func isServed(_ slice: SliceLocation) -> Bool {
    plan.sequences.indices.allSatisfy { sequence in
      let position = plan.sequences[sequence].order.firstIndex(of: slice.slice)!
      return (position + 1...plan.sliceCount).allSatisfy {
        serves(BlockSlot(shard: slice.shard, sequence: sequence, stage: $0))
      }
    }
  }

  /// Everything a worker needs to know to train the block of a slot.
  package func assignment(for slot: BlockSlot) -> BlockAssignment? {
    guard let key = expectedKeys[slot] else { return nil }
    var ancestors: [Digest] = []
    for stage in 1..<slot.stage {
      let ancestor = BlockSlot(shard: slot.shard, sequence: slot.sequence, stage: stage)
      guard let block = block(at: ancestor) else { return nil }
      ancestors.append(block.artifact)
    }
    return BlockAssignment(
      slot: slot, key: key, layers: plan.layerGroups[slot.stage - 1],
      seed: LineageDigest.stageSeed(runSeed: run.seed, slot: slot, plan: plan),
      ancestors: ancestors,
      slices: plan.slicesRead(by: slot).map { slice in
        SliceReference(
          location: SliceLocation(shard: slot.shard, slice: slice),
          digest: slices[slot.shard][slice].digest)
      })
  }
}

/// The blocks by which one shard answers, topmost layers first.
package struct ServedPrefix: Equatable, Sendable {
  package let shard: Int
  package let sequence: Int
  package let artifacts: [Digest]

  package init(shard: Int, sequence: Int, artifacts: [Digest]) {
    self.shard = shard
    self.sequence = sequence
    self.artifacts = artifacts
  }

  package var depth: Int { artifacts.count }
}

/// One block to train: from these ancestors, on these slices, with this seed.
package struct BlockAssignment: Equatable, Sendable {
  package let slot: BlockSlot
  package let key: BlockKey
  package let layers: Range<Int>
  package let seed: UInt64
  /// Artifacts of stages 1 to i − 1; the last carries the head to continue from.
  package let ancestors: [Digest]
  package let slices: [SliceReference]

  package init(
    slot: BlockSlot, key: BlockKey, layers: Range<Int>, seed: UInt64, ancestors: [Digest],
    slices: [SliceReference]
  ) {
    self.slot = slot
    self.key = key
    self.layers = layers
    self.seed = seed
    self.ancestors = ancestors
    self.slices = slices
  }
}

/// A slice as it must be: the digest covers exactly the retained records.
package struct SliceReference: Hashable, Sendable {
  package let location: SliceLocation
  package let digest: Digest

  package init(location: SliceLocation, digest: Digest) {
    self.location = location
    self.digest = digest
  }
}
