import Hashing
import Unlearning

/// The time of an event, as the shell read it.
package struct Moment: Equatable, Sendable {
  /// Milliseconds of a clock that never jumps; leases live by it.
  package var monotonic: Milliseconds
  /// Milliseconds since 1970; for people and due dates.
  package var wall: Milliseconds

  package init(monotonic: Milliseconds, wall: Milliseconds) {
    self.monotonic = monotonic
    self.wall = wall
  }
}

/// One connection of a worker; a worker that reconnects is a new one, with empty caches.
package struct WorkerID: Hashable, Comparable, Sendable {
  package let number: UInt64

  package init(_ number: UInt64) {
    self.number = number
  }

  package static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

package enum WorkerRole: String, Codable, CaseIterable, Sendable {
  case train
  case serve
}

/// What a worker says of itself when it joins: for display, but for what is checked.
///
/// Who it is, is its `PeerProof`.
package struct Introduction: Equatable, Sendable {
  package var name: String
  package var host: String
  package var numericClass: String
  package var backbone: Digest
  package var roles: Set<WorkerRole>
  /// The furthest ledger head it has been shown by any coordinator of this run; counts only with
  /// the run's own tag.
  package var head: AttestedHead?

  package init(
    name: String, host: String, numericClass: String, backbone: Digest, roles: Set<WorkerRole>,
    head: AttestedHead? = nil
  ) {
    self.name = name
    self.host = host
    self.numericClass = numericClass
    self.backbone = backbone
    self.roles = roles
    self.head = head
  }
}

/// A wish to delete records, with what the shell has to add to it.
package struct DeletionWish: Equatable, Sendable {
  package var tags: [RecordTag]
  /// Salted commitments to the ids, in the same order.
  package var commitments: [Digest]
  /// Fresh and random; kept apart, so that it can be erased.
  package var salt: Digest
  package var due: Milliseconds
  package var requestKey: Digest?
  /// Go ahead only if the plan is still this one.
  package var expectedPlan: Digest?
  /// Who asks, and why.
  package var origin: DeletionOrigin?

  package init(
    tags: [RecordTag], commitments: [Digest], salt: Digest, due: Milliseconds,
    requestKey: Digest? = nil, expectedPlan: Digest? = nil, origin: DeletionOrigin? = nil
  ) {
    self.origin = origin
    self.tags = tags
    self.commitments = commitments
    self.salt = salt
    self.due = due
    self.requestKey = requestKey
    self.expectedPlan = expectedPlan
  }

  /// Covers what is asked for, whoever asks.
  package var fingerprint: Digest {
    SHA256.hash(Array("lethe-request-1".utf8) + tags.flatMap(\.digest.bytes))
  }
}

package enum DeletionDecision: Equatable, Sendable {
  case decided([DeletionOutcome], blocksMasked: Int)
  /// The state has moved on since the plan was made.
  case planIsStale
  /// The idempotency key belongs to a request for other records.
  case keyIsTaken
}

package struct WorkerState: Equatable, Sendable {
  package let introduction: Introduction
  /// Its key.
  package let identity: PeerIdentity
  /// Its role, and a numeric class equal to the run's, or to the one that is being tried.
  package internal(set) var canTrain = false
  /// It finishes what it has and takes no more.
  package internal(set) var isDraining = false
  /// It has asked for work and has got none since.
  var wantsWork = false
  /// What it was told last about why it gets no work.
  var told: String?
  /// Where it trained last: what it needs next is most likely in its memory.
  var home: Int?

  init(introduction: Introduction, identity: PeerIdentity) {
    self.introduction = introduction
    self.identity = identity
  }

  /// Whether it trains, in whatever class.
  var isTrainer: Bool { introduction.roles.contains(.train) && !isDraining }
}

package struct StageProgress: Equatable, Sendable {
  package var step: UInt32
  package var totalSteps: UInt32

  package init(step: UInt32, totalSteps: UInt32) {
    self.step = step
    self.totalSteps = totalSteps
  }
}

/// A lease as its worker gets it.
package struct LeaseGrant: Equatable, Sendable {
  package let epoch: UInt64
  package let assignment: BlockAssignment
  /// Where an earlier attempt had got to, if it left word.
  package let checkpoint: StageCheckpoint?

  package init(epoch: UInt64, assignment: BlockAssignment, checkpoint: StageCheckpoint? = nil) {
    self.epoch = epoch
    self.assignment = assignment
    self.checkpoint = checkpoint
  }
}

/// A stage in the middle: adapters, head and optimizer after `step` steps, by the SHA-256 of their
/// bytes. Going on from it gives the bits that training in one go gives.
package struct StageCheckpoint: Equatable, Sendable {
  package let step: UInt32
  package let digest: Digest

  package init(step: UInt32, digest: Digest) {
    self.step = step
    self.digest = digest
  }
}

/// Trained bytes that are in the artifact store and ask to become a block.
package struct Upload: Equatable, Sendable {
  package var epoch: UInt64
  package var key: BlockKey
  package var artifact: Digest
  package var byteCount: UInt64
  package var work: TrainingWork

  package init(
    epoch: UInt64, key: BlockKey, artifact: Digest, byteCount: UInt64, work: TrainingWork
  ) {
    self.epoch = epoch
    self.key = key
    self.artifact = artifact
    self.byteCount = byteCount
    self.work = work
  }
}

package struct Failure: Equatable, Sendable {
  package enum Kind: UInt8, Sendable {
    /// Worth another try, preferably elsewhere.
    case retryable = 1
    /// This host cannot do it.
    case host = 2
    /// No host can, says this one: its key's verdict, and no one else's.
    case fatal = 3
    /// The coordinator asked for it; nobody's fault.
    case cancelled = 4
  }

  package var kind: Kind
  package var reason: String

  package init(kind: Kind, reason: String) {
    self.kind = kind
    self.reason = reason
  }
}

/// Why a slot has no block and nobody trains one.
package enum WaitingReason: Equatable, Sendable {
  case training
  case noWorkers
  case noMatchingNumericClass
  case parentMissing
  case backoff
  /// Every key that is here has failed often enough, or is a party to a dispute about the block.
  case otherHostNeeded(String)
  case paused
  case repairPolicy
  /// Repairs have read as many slices as the run allows in an hour.
  case repairBudget
  case quarantined
  case poisoned(String)

  /// The word for it in `status`, `lineage` and the HTTP API.
  package var word: String {
    switch self {
    case .training: "training"
    case .noWorkers: "no_workers"
    case .noMatchingNumericClass: "no_matching_numeric_class"
    case .parentMissing: "parent_missing"
    case .backoff: "backoff"
    case .otherHostNeeded(let reason): "needs_another_host: \(reason)"
    case .paused: "paused"
    case .repairPolicy: "repair_policy"
    case .repairBudget: "repair_budget"
    case .quarantined: "quarantined"
    case .poisoned(let reason): "poisoned: \(reason)"
    }
  }
}

/// Something that happened to the coordinator.
package enum Event: Sendable {
  case started
  case ticked
  case trainingRequested
  /// The operator says which numeric class the run is of.
  case classRequested(String)
  case workerJoined(WorkerID, Introduction, PeerProof)
  case workerLeft(WorkerID)
  case workRequested(WorkerID)
  /// A worker finishes what it has and takes no more.
  case draining(WorkerID)
  case heartbeat(WorkerID, epoch: UInt64, StageProgress)
  case uploaded(WorkerID, Upload)
  /// Trained bytes came for a lease that has ended; nobody looked at them.
  case uploadedTooLate(WorkerID, epoch: UInt64)
  case failed(WorkerID, epoch: UInt64, Failure)
  /// The bytes of a checkpoint are kept under the key of the lease.
  case checkpointed(WorkerID, epoch: UInt64, BlockKey, StageCheckpoint)
  /// `token` comes back with the answer.
  case deletionRequested(token: UInt64, DeletionWish)
  /// Retrain this share of the standing blocks and compare bits.
  case auditRequested(share: Double, seed: UInt64)
  /// A snapshot of the state after entry `through` is durable.
  case snapshotWritten(through: UInt64, digest: Digest)
  case copied(OutsideCopy)
  case copyRemoved(path: String)
  /// Once this is durable, the salt's bytes may go.
  case saltErasureRequested(UInt64)
  /// No file of the run's own holds bytes that the current purge order names, durably: every place
  /// in its directory is done.
  case purgeFinished(throughDeletion: UInt64)
  /// One place of the current purge order is clean, durably, or could not be cleaned for now.
  case purgeReported(PurgePlace, throughDeletion: UInt64, problem: String?)
  /// The files of an export that a purge removes are gone, or why they are not.
  case exportReported(OutsideCopy, problem: String?)
  /// A worker has dropped everything that a purge order named.
  case purgeConfirmed(WorkerID, throughDeletion: UInt64)
}

/// What the shell owes for an event: entries first, made durable; then the effects, in order.
package struct Step: Sendable {
  package var entries: [JournalEntry] = []
  /// Salts of new deletions; durable before the entries are, or a receipt could not be opened.
  package var salts: [DeletionSalt] = []
  package var effects: [Effect] = []

  package init() {}

  /// Adds what the next event owes.
  package mutating func add(_ next: Step) {
    entries += next.entries
    salts += next.salts
    effects += next.effects
  }
}

package enum Effect: Equatable, Sendable {
  case grant(WorkerID, LeaseGrant)
  /// The answer to a heartbeat of a lease that goes on.
  case heard(WorkerID, UInt64)
  case cancel(WorkerID, UInt64)
  /// A worker's failure that counted; for the log.
  case noted(WorkerID, BlockKey, Failure)
  /// A sentence for the people who run a worker.
  case tell(WorkerID, String)
  case accepted(WorkerID, UInt64)
  case refused(WorkerID, UInt64, UploadRefusal)
  case deletionDecided(UInt64, DeletionDecision)
  /// Bytes that came with a refused upload and belong to no block.
  case discard(Digest)
  /// A checkpoint that nobody will continue from.
  case discardCheckpoint(BlockKey, StageCheckpoint)
  /// Clean every place of the run's directory, each by itself, and report of each.
  case purge(PurgeOrder)
  /// Try one place again.
  case purgeAgain(PurgeOrder, PurgePlace)
  case forget(WorkerID, throughDeletion: UInt64, artifacts: [Digest])
  /// Remove what Lethe wrote into an export, and report.
  case removeExport(OutsideCopy)
  /// End a worker's connection: it is a member no more, and nothing that it still says counts.
  case cutOff(WorkerID, reason: String)
}

/// The salt of one deletion's commitments.
package struct DeletionSalt: Equatable, Sendable {
  package let deletion: UInt64
  package let salt: Digest

  package init(deletion: UInt64, salt: Digest) {
    self.deletion = deletion
    self.salt = salt
  }
}

package enum UploadRefusal: UInt8, Sendable {
  case staleLease = 1
  case alreadyCommitted = 2
  case invalidArtifact = 3
  /// Not refused: the block stands already, and these are its bytes again.
  case confirmed = 4
  /// Too much is on its way already; offer it again.
  case busy = 5
  /// Keys disagree about the block, and these bytes do not settle it.
  case disputed = 6
}

package enum DeletionOutcome: Equatable, Sendable {
  case accepted(UInt64)
  case duplicate(of: UInt64)
  case unknown
}
