import CoordinatorCore
import Hashing
import Ledger
import Unlearning

func journalEntrySeeds() -> [[UInt8]] { sampleEntries.map(\.encoded) }

func runJournalEntry(_ bytes: [UInt8]) {
  guard let entry = try? JournalEntry(encoded: bytes) else { return }
  demand(entry.encoded == bytes, "a journal entry with two encodings")
}

func runStateSeeds() -> [[UInt8]] {
  guard case .created(let run) = sampleEntries[0], var state = try? RunState(run) else { return [] }
  var seeds = [state.encoded]
  for entry in sampleEntries.dropFirst() {
    state.refreshKeys()
    state.apply(entry)
  }
  state.refreshKeys()
  seeds.append(state.encoded)
  return seeds
}

func runRunState(_ bytes: [UInt8]) {
  guard var state = try? RunState(encoded: bytes) else { return }
  demand(state.encoded == bytes, "a state with two encodings")
  // What the coordinator asks first, and what it does with the next deletion.
  _ = state.servingView()
  for slot in state.untrainedSlots.prefix(8) { _ = state.assignment(for: slot) }
  for deletion in state.deletions { _ = state.isRepaired(deletion) }
  let location = SliceLocation(shard: 0, slice: 0)
  state.apply(
    .deleted(
      AcceptedDeletion(
        number: UInt64(state.deletions.count) + 1, tags: [RecordTag(SHA256.hash([9]))],
        commitments: [SHA256.hash([3])],
        slices: [SliceSummary(location: location, contents: SliceState([SHA256.hash([7])]))],
        masked: [], at: 9, due: 10, requestKey: nil, requestFingerprint: SHA256.hash([4]))))
  state.refreshKeys()
  demand((try? RunState(encoded: state.encoded)) != nil, "a state that cannot be read back")
}

func recordTableSeeds() -> [[UInt8]] {
  guard case .created(let run) = sampleEntries[0], let plan = try? run.plan() else { return [] }
  return [sampleSlices, []].map {
    TableMemory.encode($0, of: plan, binding: SHA256.hash([8]))
  }
}

func runRecordTable(_ bytes: [UInt8]) {
  let memory = TableMemory(bytes)
  guard case .created(let run) = sampleEntries[0], var state = try? RunState(run),
    let table = try? memory.table()
  else { return }
  for row in 0..<table.rowCount { _ = table.place(ofRow: row) }
  state.apply(.ingested(sampleSlices.map(\.summary)))
  guard let index = try? RecordIndex(table, state) else { return }
  demand(index.count == state.recordCount, "a table of other records than the state's")
  var coordinator = Coordinator(state, records: index)
  for tag in index.tags {
    demand(index[tag]?.contents.tag == tag, "a record that its tag does not find")
    _ = index.duplicates(of: tag)
    let wish = DeletionWish(
      tags: [tag], commitments: [tag.digest], salt: tag.digest, due: 9)
    _ = coordinator.handle(
      .deletionRequested(token: 1, wish), at: Moment(monotonic: 1, wall: 1))
  }
  demand(coordinator.records.count == 0, "a record that cannot be deleted")
  memory.erase(coordinator.records.condemned, of: table)
  demand((try? RecordIndex(table, coordinator.state)) != nil, "a table that cannot be read again")
}

func recordSeeds() -> [[UInt8]] { sampleRecords.map(\.encoded) }

func runRecord(_ bytes: [UInt8]) {
  guard let record = try? Record(encoded: bytes) else { return }
  demand(record.encoded == bytes, "a record with two encodings")
}

/// Records with and without everything optional.
let sampleRecords: [Record] = {
  let ids = ["record 1", "n02084071", "é"].map { try! RecordID($0) }
  return [
    Record(id: ids[0], text: "a small bird that sings", label: "animal"),
    Record(
      id: ids[1], subject: ids[2], text: "an \"animal\", or\ntwo", textPair: "with a pair",
      label: "plant", deletionProbability: 0.25),
    Record(id: ids[2], subject: ids[0], text: "\u{2028}", label: "food", deletionProbability: 1),
  ]
}()

private func sampleTag(_ number: UInt8) -> RecordTag { RecordTag(SHA256.hash([1, number])) }

/// The records of the run below.
private let sampleSlices = (0..<4).map { index in
  IngestedSlice(
    location: SliceLocation(shard: index / 2, slice: index % 2),
    records: (0..<2).map {
      let number = UInt8(10 * index + $0)
      return IngestedRecord(
        tag: sampleTag(number), digest: SHA256.hash([2, number]),
        payload: LookupTag(UInt64(number / 2)), subject: $0 == 0 ? LookupTag(7) : nil)
    })
}

/// A run's life in journal entries: one of every kind.
private let sampleEntries: [JournalEntry] = {
  let run = RunDescription(
    name: "sample", shardCount: 2, sliceCount: 2, sequenceCount: 2, layerCount: 4,
    stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
    recipe: TrainingRecipe(labels: ["a", "b"]), backbone: SHA256.hash([9]),
    repairPolicy: .batched(quiet: 5, maximumAge: 60))
  let tag = sampleTag
  func digest(_ number: UInt8) -> Digest { SHA256.hash([2, number]) }
  func block(_ slot: BlockSlot, _ number: UInt8) -> JournalEntry {
    .committed(
      CommittedBlock(
        key: BlockKey(digest(100 + number)), slot: slot, artifact: digest(150 + number),
        byteCount: 1000, worker: "w",
        work: TrainingWork(
          steps: 3, examples: 9, seconds: 0.5, gemmSeconds: 0.25, finalLoss: 1.5), at: 4))
  }
  let first = BlockSlot(shard: 0, sequence: 0, stage: 1)
  let other = BlockSlot(shard: 1, sequence: 1, stage: 1)
  func deletion(_ number: UInt64, _ gone: UInt8, masked: [BlockSlot]) -> JournalEntry {
    .deleted(
      AcceptedDeletion(
        number: number, tags: [tag(gone)], commitments: [digest(200 + gone)],
        slices: [
          SliceSummary(
            location: SliceLocation(shard: 0, slice: Int(gone) / 10),
            contents: SliceState([digest(gone + 1)]))
        ],
        masked: masked.map { MaskedBlock(place: $0.place, commitment: digest(3)) }, at: 5,
        due: 1000, requestKey: number == 1 ? digest(5) : nil, requestFingerprint: digest(6)))
  }
  return [
    .created(run), .ingested(sampleSlices.map(\.summary)), .started(term: 1, at: 1),
    .numericClassPinned("class"),
    .trainingRequested(at: 2), block(first, 0), block(other, 1),
    .copied(OutsideCopy(kind: .export, path: "shard0", artifacts: [digest(150)], at: 3)),
    .copied(OutsideCopy(kind: .backup, path: "backup", artifacts: [], at: 3)),
    deletion(1, 0, masked: [first]),
    .purged(
      throughDeletion: 1, slices: [SliceLocation(shard: 0, slice: 0)], artifacts: [digest(150)],
      at: 6),
    block(first, 2), .repaired(number: 1, at: 7),
    .certified(
      number: 1, erasure: [ErasureClaim(location: "slice files", level: .unlinked)], at: 8),
    .copyRemoved(path: "shard0", at: 9), deletion(2, 10, masked: []),
    .quarantined(BlockKey(digest(101)), at: 10), .artifactLost(BlockKey(digest(102)), at: 11),
    .snapshotTaken(through: 12, digest: digest(8)), .restored(lostEntries: 1, at: 12),
    .workersCutOff(throughDeletion: 2, count: 1, at: 13),
  ]
}()
