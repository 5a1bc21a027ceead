import ByteCoding
import Hashing
import Ledger
import Unlearning

/// What one accepted request to delete records decided; its journal entry.
package struct AcceptedDeletion: Equatable, Sendable {
  package var number: UInt64
  /// The records, in the order asked.
  package var tags: [RecordTag]
  /// Salted commitments to their ids, in the same order.
  package var commitments: [Digest]
  /// What the slices that lose a record come to, ascending.
  package var slices: [SliceSummary]
  /// Blocks that stop serving.
  package var masked: [MaskedBlock]
  package var at: Milliseconds
  /// When the law wants it finished.
  package var due: Milliseconds
  /// Keyed hash of the client's idempotency key.
  package var requestKey: Digest?
  /// Covers what was asked for, so that a key used for something else is noticed.
  package var requestFingerprint: Digest

  package init(
    number: UInt64, tags: [RecordTag], commitments: [Digest], slices: [SliceSummary],
    masked: [MaskedBlock], at: Milliseconds, due: Milliseconds, requestKey: Digest?,
    requestFingerprint: Digest
  ) {
    self.number = number
    self.tags = tags
    self.commitments = commitments
    self.slices = slices
    self.masked = masked
    self.at = at
    self.due = due
    self.requestKey = requestKey
    self.requestFingerprint = requestFingerprint
  }
}

extension BlockSlot {
  /// The slot in the ledger's words.
  package var place: BlockPlace { BlockPlace(shard: shard, sequence: sequence, stage: stage) }

  package init(_ place: BlockPlace) {
    self.init(shard: place.shard, sequence: place.sequence, stage: place.stage)
  }
}

/// One accepted deletion and how far it has come.
package struct Deletion: Equatable, Sendable {
  package let number: UInt64
  package let tags: [RecordTag]
  package let commitments: [Digest]
  package let locations: [SliceLocation]
  package let masked: [MaskedBlock]
  /// Accepted and masked are one durable step, so one time.
  package let acceptedAt: Milliseconds
  package let due: Milliseconds
  package let requestKey: Digest?
  package let requestFingerprint: Digest
  package var purgedAt: Milliseconds?
  package var repairedAt: Milliseconds?
  package var certifiedAt: Milliseconds?
  package var replacements: [ReplacementBlock] = []
  package var erasure: [ErasureClaim] = []
  /// Workers that did not confirm its purge in time, and were cut off.
  package internal(set) var workersCutOff: UInt32 = 0

  mutating func noteCutOff(_ count: UInt32) {
    let (sum, isOver) = workersCutOff.addingReportingOverflow(count)
    workersCutOff = isOver ? .max : sum
  }

  init(_ request: AcceptedDeletion, locations: [SliceLocation]) {
    number = request.number
    tags = request.tags
    commitments = request.commitments
    self.locations = locations
    masked = request.masked
    acceptedAt = request.at
    due = request.due
    requestKey = request.requestKey
    requestFingerprint = request.requestFingerprint
  }

  /// The furthest state reached. Repair can overtake purge, and neither implies the other, so
  /// `repaired` is only said once both are done.
  package var state: DeletionState {
    if certifiedAt != nil { return .certified }
    guard purgedAt != nil else { return .masked }
    return repairedAt == nil ? .purged : .repaired
  }

  /// The leaf that an accepted deletion puts into the ledger.
  package var ledgerEntry: LedgerEntry {
    .deletion(
      DeletionEntry(
        number: number, acceptedAt: acceptedAt, records: tags.count,
        commitments: MerkleTree(commitments.map(IDCommitment.leafHash)).root,
        blocksMasked: masked.count, masked: MerkleTree(masked.map(\.leafHash)).root))
  }

  /// The leaf of a deletion that is finished.
  package var certificateEntry: LedgerEntry? {
    guard let purgedAt, let repairedAt, let certifiedAt else { return nil }
    return .certificate(
      CertificateEntry(
        number: number, maskedAt: acceptedAt, purgedAt: purgedAt, repairedAt: repairedAt,
        certifiedAt: certifiedAt, erasure: erasure, replacements: replacements.count,
        replacementsRoot: MerkleTree(replacements.map(\.leafHash)).root))
  }
}

/// Whether what a `repaired` entry said is still so.
enum RepairStanding: Equatable, Sendable {
  case current
  /// A block that the deletion reaches was lost again: its repair is recorded anew.
  case outdated
}

package enum DeletionState: String, CaseIterable, Sendable {
  case masked, purged, repaired, certified
}

/// The append-only list behind receipts, as leaf hashes; the texts follow from the deletions.
package struct DeletionLedger: Equatable, Sendable {
  package enum Leaf: Equatable, Sendable {
    case deletion(UInt64)
    case certificate(UInt64)
  }

  package private(set) var leaves: [Leaf] = []
  package private(set) var tree = MerkleTree()
  /// Size up to which heads of another ledger are forgiven: an operator restored a backup although
  /// entries up to there were known beyond it.
  package internal(set) var forgivenSize: UInt64 = 0

  mutating func append(_ leaf: Leaf, _ entry: LedgerEntry) {
    leaves.append(leaf)
    tree.append(entry.leafHash)
  }

  package var head: LedgerHead { LedgerHead(size: UInt64(leaves.count), root: tree.root) }

  /// Whether someone who saw `head` saw an earlier moment of this very ledger.
  package func extends(_ head: LedgerHead) -> Bool {
    if forgivenSize > 0, head.size <= forgivenSize { return true }
    return head.size <= UInt64(leaves.count) && tree.root(ofFirst: Int(head.size)) == head.root
  }
}

/// How far a ledger had come when somebody looked.
package struct LedgerHead: Equatable, Sendable {
  package let size: UInt64
  package let root: Digest

  package init(size: UInt64, root: Digest) {
    self.size = size
    self.root = root
  }
}
