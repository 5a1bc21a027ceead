import Hashing
import Ledger
import Unlearning

/// The durable state of a run: what replaying its journal gives.
///
/// Invariants, kept by `apply` alone:
/// - a slot stands (has a block) exactly until an entry masks it; a deletion masks, by position
///   alone, every slot that depends on the record's slice;
/// - after `refreshKeys`, `expectedKeys` holds for every slot the key computed from the records
///   retained now, and `block(at:)` gives a block only if it was trained under that very key;
/// - it names no live record: those are in the `RecordIndex`, which every start holds against it.
package struct RunState: Equatable, Sendable {
  package let run: RunDescription
  package let plan: RunPlan
  package let recipeDigest: Digest

  package internal(set) var term: UInt32 = 0
  /// Pinned by the first block that was committed, or by the operator.
  package internal(set) var numericClass: String?
  /// The class that is tried while none is pinned; in memory alone.
  package private(set) var candidateClass: String?
  package internal(set) var isTrainingRequested = false

  /// Slices by shard and slice.
  package internal(set) var slices: [[SliceState]]
  /// Tags of deleted records, with the deletion's number; for ever.
  package internal(set) var deletedTags: [RecordTag: UInt64] = [:]
  /// Deletions in order; deletion n is element n − 1.
  package internal(set) var deletions: [Deletion] = []
  /// Deletions that are not certified yet, ascending.
  package internal(set) var openDeletions: [UInt64] = []
  /// Deletions by the idempotency key of the request behind them.
  package internal(set) var requests: [Digest: UInt64] = [:]
  /// Deletions and certificates in the order of their leaves.
  package internal(set) var ledger = DeletionLedger()

  package internal(set) var blocks: [BlockKey: CommittedBlock] = [:]
  /// The block that stands at a slot; several slots share one where sequences share a prefix.
  package internal(set) var standing: [BlockSlot: BlockKey] = [:]
  /// How many blocks name an artifact; empty stages can share one.
  package internal(set) var artifactUses: [Digest: Int] = [:]
  package internal(set) var expectedKeys: [BlockSlot: BlockKey] = [:]
  /// Slots that were trained once and lost their block, with the time.
  package internal(set) var maskedSince: [BlockSlot: Milliseconds] = [:]
  /// The masked slots whose repair someone asked for by hand since they were masked.
  package internal(set) var repairsRequested: Set<BlockSlot> = []
  /// The latest loss of a slot's block for another reason than a deletion.
  package internal(set) var withdrawals: [BlockSlot: Withdrawal] = [:]
  package internal(set) var quarantinedKeys: Set<BlockKey> = []
  /// Blocks that keys have trained to different bytes; nobody's serve until two agree.
  package internal(set) var disputes: [BlockKey: BlockDispute] = [:]

  /// Slices whose file still holds deleted records.
  package internal(set) var slicesToPurge: Set<SliceLocation> = []
  /// Artifacts of blocks that are no longer any slot's.
  package internal(set) var artifactsToPurge: Set<Digest> = []
  /// Exports and backups by path: bytes outside the run's own directory.
  package internal(set) var copies: [String: OutsideCopy] = [:]

  package internal(set) var salts = SaltRegister()
  /// Who asked for deletions, as far as it was noted.
  package internal(set) var origins: [UInt64: DeletionOrigin] = [:]
  /// Records that an earlier run had deleted and this one has never had.
  package internal(set) var importedTombstones: Set<RecordTag> = []

  /// Slices whose part in keys has changed since keys were last computed.
  private var staleSlices: Set<SliceLocation> = []

  /// Begins a run; the journal's first entry must be `created`.
  package init(_ run: RunDescription) throws(PlanError) {
    self.run = run
    plan = try run.plan()
    recipeDigest = LineageDigest.recipe(run.recipe)
    slices = Array(
      repeating: Array(repeating: SliceState([]), count: plan.sliceCount), count: plan.shardCount)
    staleSlices = Set(locations)
  }

  /// Every slice, in order.
  package var locations: [SliceLocation] {
    slices.indices.flatMap { shard in
      slices[shard].indices.map { SliceLocation(shard: shard, slice: $0) }
    }
  }

  package var recordCount: Int {
    slices.reduce(0) { $0 + $1.reduce(0) { $0 + $1.recordCount } }
  }

  /// Changes state by one durable fact; recovery calls it with entries read back.
  ///
  /// Keys are left stale, so that replaying many entries computes each key once: whoever looks at
  /// keys or blocks calls `refreshKeys` first.
  package mutating func apply(_ entry: JournalEntry) {
    switch entry {
    case .created: preconditionFailure("a run is created once, as its journal's first entry")
    case .ingested(let slices): for slice in slices { fill(slice) }
    case .started(let term, _): self.term = term
    case .numericClassPinned(let description):
      numericClass = description
      candidateClass = nil
      staleSlices = Set(locations)
    case .trainingRequested:
      isTrainingRequested = true
      // The operator's word: whoever has a key now is believed anew.
      for key in disputes.keys { disputes[key]?.opinions = [] }
      repairsRequested = Set(maskedSince.keys)
    case .committed(let block): commit(block)
    case .deleted(let request): delete(request)
    case .purged(let number, let purgedSlices, let artifacts, let at):
      // A later deletion in the same slice keeps it on the list.
      let dirtyAgain = Set(deletions.dropFirst(Int(number)).flatMap(\.locations))
      slicesToPurge.subtract(Set(purgedSlices).subtracting(dirtyAgain))
      artifactsToPurge.subtract(artifacts)
      for open in openDeletions where open <= number && deletion(open).purgedAt == nil {
        deletions[Int(open) - 1].purgedAt = at
      }
    case .repaired(let number, let at):
      deletions[Int(number) - 1].repairedAt = at
      deletions[Int(number) - 1].replacements = deletion(number).masked.compactMap { masked in
        standing[BlockSlot(masked.place)].flatMap { blocks[$0] }.map {
          ReplacementBlock(place: masked.place, key: $0.key.digest, artifact: $0.artifact)
        }
      }
    case .certified(let number, let erasure, let at):
      deletions[Int(number) - 1].erasure = erasure
      deletions[Int(number) - 1].certifiedAt = at
      if let place = openDeletions.firstIndex(of: number) { openDeletions.remove(at: place) }
      ledger.append(.certificate(number), deletion(number).certificateEntry!)
    case .quarantined(let key, let at):
      quarantinedKeys.insert(key)
      disputes[key] = nil
      withdraw(key, Withdrawal(cause: .quarantined, at: at))
    case .disputed(let key, let opinions, let at):
      guard let first = opinions.first else { break }
      disputes[key] = BlockDispute(
        standing: disputes[key]?.standing ?? first.artifact, opinions: opinions)
      withdraw(key, Withdrawal(cause: .disputed, at: at))
    case .artifactLost(let key, let at): withdraw(key, Withdrawal(cause: .artifactLost, at: at))
    case .snapshotTaken: break
    case .copied(let copy): copies[copy.path] = copy
    case .copyRemoved(let path, _): copies[path] = nil
    case .noted(let note): apply(note)
    case .restored(let lost, _): ledger.forgivenSize = UInt64(ledger.leaves.count) + lost
    case .workersCutOff(let number, let count, _):
      for open in openDeletions where open <= number && deletion(open).purgedAt == nil {
        deletions[Int(open) - 1].noteCutOff(count)
      }
    }
  }

  package func deletion(_ number: UInt64) -> Deletion { deletions[Int(number) - 1] }

  /// Says what a slice holds from now on.
  mutating func fill(_ slice: SliceSummary) {
    slices[slice.location.shard][slice.location.slice] = slice.contents
    staleSlices.insert(slice.location)
  }

  private mutating func commit(_ block: CommittedBlock) {
    if blocks.updateValue(block, forKey: block.key) == nil {
      artifactUses[block.artifact, default: 0] += 1
    }
    // Bytes that were on their way out are wanted again.
    artifactsToPurge.remove(block.artifact)
    for slot in plan.slots(sharing: block.slot) {
      standing[slot] = block.key
      maskedSince[slot] = nil
      repairsRequested.remove(slot)
    }
    if let dispute = disputes.removeValue(forKey: block.key), dispute.standing != block.artifact {
      withdrawDescendants(of: block)
    }
  }

  /// Takes out of service what was trained on top of other bytes than the block's.
  private mutating func withdrawDescendants(of block: CommittedBlock) {
    for slot in plan.slots(sharing: block.slot) where slot.stage < plan.sliceCount {
      for stage in slot.stage + 1...plan.sliceCount {
        let place = BlockSlot(shard: slot.shard, sequence: slot.sequence, stage: stage)
        if let key = standing[place] {
          withdraw(key, Withdrawal(cause: .disputed, at: block.at))
        }
      }
    }
  }

  private mutating func delete(_ request: AcceptedDeletion) {
    for tag in request.tags { deletedTags[tag] = request.number }
    for slice in request.slices { fill(slice) }
    let locations = request.slices.map(\.location)
    for slot in plan.slots(dependingOn: locations) where standing[slot] != nil {
      mask(slot, at: request.at)
    }
    slicesToPurge.formUnion(locations)
    if let key = request.requestKey { requests[key] = request.number }
    deletions.append(Deletion(request, locations: locations))
    openDeletions.append(request.number)
    ledger.append(.deletion(request.number), deletion(request.number).ledgerEntry)
  }

  /// Takes one block out of service although its records are the retained ones.
  private mutating func withdraw(_ key: BlockKey, _ withdrawal: Withdrawal) {
    guard let block = blocks[key] else { return }
    for slot in plan.slots(sharing: block.slot) where standing[slot] == key {
      withdrawals[slot] = withdrawal
      mask(slot, at: withdrawal.at)
    }
  }

  private mutating func mask(_ slot: BlockSlot, at: Milliseconds) {
    guard let key = standing.removeValue(forKey: slot) else { return }
    maskedSince[slot] = at
    // A shared block goes with the last slot it stands at.
    guard !plan.slots(sharing: slot).contains(where: { standing[$0] == key }),
      let block = blocks.removeValue(forKey: key)
    else { return }
    artifactUses[block.artifact, default: 1] -= 1
    if artifactUses[block.artifact] == 0 {
      artifactUses[block.artifact] = nil
      artifactsToPurge.insert(block.artifact)
    }
  }

  /// Computes keys in a class that is not pinned; nothing durable follows from it.
  mutating func consider(_ numericClass: String) {
    candidateClass = numericClass
    staleSlices = Set(locations)
  }

  /// What would be left of this state after a restart.
  package var durable: RunState {
    guard numericClass == nil else { return self }
    var state = self
    state.candidateClass = nil
    state.expectedKeys = [:]
    return state
  }

  /// Recomputes the keys of every slot that depends on a slice that changed since the last time.
  package mutating func refreshKeys() {
    defer { staleSlices = [] }
    guard !staleSlices.isEmpty, let numericClass = numericClass ?? candidateClass else { return }
    let numericClassDigest = LineageDigest.numericClass(numericClass)
    // A key covers its parent's, and parents come first.
    for slot in plan.slots(dependingOn: staleSlices.sorted()) {
      expectedKeys[slot] =
        BlockIngredients(
          numericClass: numericClassDigest, backbone: run.backbone, recipe: recipeDigest,
          layers: plan.layerGroups[slot.stage - 1],
          seed: LineageDigest.stageSeed(runSeed: run.seed, slot: slot, plan: plan),
          parent: slot.parent.flatMap { expectedKeys[$0] },
          slices: plan.slicesRead(by: slot).map { slices[slot.shard][$0].digest }
        ).key
    }
  }
}

/// What block keys know of a slice.
package struct SliceState: Equatable, Sendable {
  package let recordCount: Int
  /// The slice's part in block keys: covers exactly the records it has.
  package let digest: Digest

  package init(recordCount: Int, digest: Digest) {
    self.recordCount = recordCount
    self.digest = digest
  }

  package init(_ recordDigests: [Digest] = []) {
    self.init(
      recordCount: recordDigests.count, digest: LineageDigest.slice(recordDigests: recordDigests))
  }
}

/// Why a block was taken out of service other than by a deletion.
package struct Withdrawal: Equatable, Sendable {
  package enum Cause: UInt8, Sendable {
    case quarantined = 1
    case artifactLost = 2
    /// Keys disagreed about it, or about a block that it was trained on.
    case disputed = 3
  }

  package let cause: Cause
  package let at: Milliseconds
}

/// A folder outside the run's directory that holds its bytes.
package struct OutsideCopy: Equatable, Sendable {
  package enum Kind: UInt8, Sendable {
    /// Trained blocks, as PEFT folders.
    case export = 1
    /// Everything: records, blocks, journal, keys.
    case backup = 2
  }

  package let kind: Kind
  package let path: String
  /// What an export holds; a deletion that masks one of them removes the export.
  package let artifacts: [Digest]
  package let at: Milliseconds

  package init(kind: Kind, path: String, artifacts: [Digest], at: Milliseconds) {
    self.kind = kind
    self.path = path
    self.artifacts = artifacts
    self.at = at
  }
}
