import ByteCoding
import Hashing
import Ledger
import Unlearning

/// A record's pseudonym: `HMAC-SHA256(tombstoneKey, id)`.
///
/// State and journal know records by tag only, so neither ever holds a raw id, and a tag that stays
/// behind after a deletion refuses the record's return without saying whose it was.
package struct RecordTag: Hashable, Comparable, Sendable {
  package let digest: Digest

  package init(_ digest: Digest) {
    self.digest = digest
  }

  package static func < (left: Self, right: Self) -> Bool { left.digest < right.digest }
}

/// A durable fact. State changes only by applying entries, so recovery runs the same code as work.
package enum JournalEntry: Equatable, Sendable {
  case created(RunDescription)
  /// What every slice holds; the records stand in the slice files and in the record table.
  case ingested([SliceSummary])
  /// A coordinator process took over; its lease epochs begin with `term`.
  case started(term: UInt32, at: Milliseconds)
  case numericClassPinned(String)
  /// Someone asked for training, or for repair of everything masked by now.
  case trainingRequested(at: Milliseconds)
  case committed(CommittedBlock)
  /// Accepted and masked, both at once.
  case deleted(AcceptedDeletion)
  /// Bytes of all deletions up to `throughDeletion` are gone from files and workers.
  case purged(
    throughDeletion: UInt64, slices: [SliceLocation], artifacts: [Digest], at: Milliseconds)
  /// Every block that deletion `number` masked has been retrained.
  case repaired(number: UInt64, at: Milliseconds)
  /// A deletion is purged and repaired, and its receipt final.
  case certified(number: UInt64, erasure: [ErasureClaim], at: Milliseconds)
  /// One key produced two different byte strings; it is neither served nor retrained.
  case quarantined(BlockKey, at: Milliseconds)
  /// Keys gave different bytes for a block: it serves nobody until two of them agree.
  case disputed(BlockKey, [BlockOpinion], at: Milliseconds)
  /// A block's bytes were found missing or changed; it is retrained.
  case artifactLost(BlockKey, at: Milliseconds)
  /// The state after entry `through` stands in a snapshot with this SHA-256.
  case snapshotTaken(through: UInt64, digest: Digest)
  /// Bytes of the run were written outside its directory.
  case copied(OutsideCopy)
  /// The run knows of no bytes at this path any more.
  case copyRemoved(path: String, at: Milliseconds)
  /// The run was restored from a backup although `lostEntries` ledger entries were known beyond it.
  case restored(lostEntries: UInt64, at: Milliseconds)
  /// Workers did not confirm a purge in time and were cut off: what they hold of the deletions up
  /// to `throughDeletion` that were not purged yet is out of reach.
  case workersCutOff(throughDeletion: UInt64, count: UInt32, at: Milliseconds)
  /// About salts, about who asked, about an earlier run; no block depends on it.
  case noted(RunNote)
}

/// A slice and what block keys know of it.
package struct SliceSummary: Equatable, Sendable {
  package var location: SliceLocation
  package var contents: SliceState

  package init(location: SliceLocation, contents: SliceState) {
    self.location = location
    self.contents = contents
  }
}

/// The records of a slice, as the record table knows them.
package struct IngestedSlice: Equatable, Sendable {
  package var location: SliceLocation
  package var records: [IngestedRecord]

  package init(location: SliceLocation, records: [IngestedRecord]) {
    self.location = location
    self.records = records
  }

  package var summary: SliceSummary {
    SliceSummary(location: location, contents: SliceState(records.map(\.digest)))
  }
}

/// What the run knows of a record.
package struct IngestedRecord: Equatable, Sendable {
  package var tag: RecordTag
  package var digest: Digest
  package var payload: LookupTag
  package var subject: LookupTag?

  package init(tag: RecordTag, digest: Digest, payload: LookupTag, subject: LookupTag? = nil) {
    self.tag = tag
    self.digest = digest
    self.payload = payload
    self.subject = subject
  }
}

/// A block whose bytes are in the artifact store.
package struct CommittedBlock: Equatable, Sendable {
  package var key: BlockKey
  package var slot: BlockSlot
  package var artifact: Digest
  package var byteCount: UInt64
  /// What the worker called itself; for people.
  package var worker: String
  /// As it was journalled; earlier versions took any number that a worker claimed.
  var recordedWork: TrainingWork
  package var at: Milliseconds
  /// The key of the worker that trained it; not known of a block from before keys were journalled.
  package var trainer: PeerIdentity?

  /// What training it took, as far as it can be true.
  package var work: TrainingWork { recordedWork.bounded }

  package init(
    key: BlockKey, slot: BlockSlot, artifact: Digest, byteCount: UInt64, worker: String,
    work: TrainingWork, at: Milliseconds, trainer: PeerIdentity? = nil
  ) {
    self.trainer = trainer
    self.key = key
    self.slot = slot
    self.artifact = artifact
    self.byteCount = byteCount
    self.worker = worker
    recordedWork = work
    self.at = at
  }
}

/// What training a block took; reported, never part of a key or an artifact.
package struct TrainingWork: Equatable, Sendable {
  package var steps: UInt64
  /// Records seen, counted once an epoch.
  package var examples: UInt64
  package var seconds: Double
  /// Part of `seconds` spent inside matrix products.
  package var gemmSeconds: Double
  package var finalLoss: Double
  /// Slices whose activations below the trained layers the worker still had.
  package var slicesKept: UInt32
  /// Slices that went through the frozen layers for this block.
  package var slicesComputed: UInt32

  package init(
    steps: UInt64, examples: UInt64, seconds: Double, gemmSeconds: Double, finalLoss: Double,
    slicesKept: UInt32 = 0, slicesComputed: UInt32 = 0
  ) {
    self.steps = steps
    self.examples = examples
    self.seconds = seconds
    self.gemmSeconds = gemmSeconds
    self.finalLoss = finalLoss
    self.slicesKept = slicesKept
    self.slicesComputed = slicesComputed
  }
}

extension TrainingWork {
  package var examplesPerSecond: Double { seconds > 0 ? Double(examples) / seconds : 0 }
  package var gemmShare: Double { seconds > 0 ? gemmSeconds / seconds : 0 }
}
