/// `POST /v1/deletions`, and `/v1/deletions/plan` for what it would do.
package struct DeletionRequest: Codable, Sendable {
  package var ids: [String]
  /// All records of this person, besides those in `ids`.
  package var subject: String?
  /// All records with this label, besides those in `ids`; with a subject those of both.
  package var label: String?
  /// Also every other record with exactly the same payload.
  package var duplicates: Bool?
  /// Go ahead only if the plan still has this fingerprint.
  package var expectedPlan: String?
  /// The same key again is the same request; also as the header `Idempotency-Key`.
  package var idempotencyKey: String?
  /// `gdpr`, `ccpa` or `days:N` instead of the run's own deadline.
  package var deadline: String?
  /// Under which the deletion is known elsewhere; kept beside it, in no ledger and no receipt.
  package var ticket: String?
  /// Why, in words; kept likewise.
  package var reason: String?

  package init(
    ids: [String], subject: String? = nil, label: String? = nil, duplicates: Bool? = nil,
    expectedPlan: String? = nil, idempotencyKey: String? = nil, deadline: String? = nil,
    ticket: String? = nil, reason: String? = nil
  ) {
    self.ticket = ticket
    self.reason = reason
    self.ids = ids
    self.subject = subject
    self.label = label
    self.duplicates = duplicates
    self.expectedPlan = expectedPlan
    self.idempotencyKey = idempotencyKey
    self.deadline = deadline
  }
}

/// What became of every id, in the order asked; printed by `lethe delete`.
package struct DeletionResponse: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package enum Outcome: String, Codable, Sendable { case accepted, duplicate, unknown, invalid }

    package var id: String
    package var outcome: Outcome
    /// `masked`, `purged`, `repaired`, `certified`, or `rejected` for unknown and invalid ids.
    package var state: String
    /// Blocks that stopped serving because of the request this id came with.
    package var blocksMasked: Int
    /// From the request's arrival until it was durable and masked.
    package var acknowledgedAfterMs: Double
    /// The number of the deletion, for `lethe deletions`.
    package var deletion: UInt64?
    /// Live records under other ids whose payload is exactly the same.
    package var duplicatesElsewhere: Int?
    /// By when the deletion has to be finished, RFC 3339.
    package var due: String?

    package init(
      id: String, outcome: Outcome, state: String, blocksMasked: Int, acknowledgedAfterMs: Double,
      deletion: UInt64?, duplicatesElsewhere: Int? = nil, due: String? = nil
    ) {
      self.id = id
      self.outcome = outcome
      self.state = state
      self.blocksMasked = blocksMasked
      self.acknowledgedAfterMs = acknowledgedAfterMs
      self.deletion = deletion
      self.duplicatesElsewhere = duplicatesElsewhere
      self.due = due
    }
  }

  /// How good answers were at some point; `lethe delete --measure` adds it.
  package struct Measurement: Codable, Sendable {
    /// `before`, or a state of the deletion.
    package var state: String
    package var texts: Int
    /// `nil` where no shard answers, and for numbers.
    package var accuracy: Double?
    package var loss: Double?
    /// Only for numbers.
    package var squaredError: Double?

    package init(
      state: String, texts: Int, accuracy: Double? = nil, loss: Double? = nil,
      squaredError: Double? = nil
    ) {
      self.state = state
      self.texts = texts
      self.accuracy = accuracy
      self.loss = loss
      self.squaredError = squaredError
    }
  }

  package var requests: [Item]
  package var measured: [Measurement]?

  package init(requests: [Item]) {
    self.requests = requests
  }
}

/// What a deletion would do; printed by `lethe delete --dry-run`, and the file `--plan` takes.
package struct DeletionPlanReport: Codable, Sendable {
  package struct Shard: Codable, Sendable {
    package var shard: Int
    package var depthBefore: Int
    package var depthAfter: Int

    package init(shard: Int, depthBefore: Int, depthAfter: Int) {
      self.shard = shard
      self.depthBefore = depthBefore
      self.depthAfter = depthAfter
    }
  }

  /// Live records that would go.
  package var ids: [String]
  /// Ids that name no live record.
  package var unknown: [String]
  package var blocksMasked: Int
  /// Shards that lose a record, with the blocks they serve before and after.
  package var shards: [Shard]
  /// Passes over one slice that repair takes.
  package var stagePasses: Int
  /// On the workers of this moment, at the measured speeds; `nil` before anything was measured.
  package var secondsToRepair: Double?
  /// Refuses the plan once the state has moved on.
  package var fingerprint: String

  package init(
    ids: [String], unknown: [String], blocksMasked: Int, shards: [Shard], stagePasses: Int,
    secondsToRepair: Double?, fingerprint: String
  ) {
    self.ids = ids
    self.unknown = unknown
    self.blocksMasked = blocksMasked
    self.shards = shards
    self.stagePasses = stagePasses
    self.secondsToRepair = secondsToRepair
    self.fingerprint = fingerprint
  }
}

/// `GET /v1/deletions`: every deletion with the times of its states; no ids.
package struct DeletionList: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package var deletion: UInt64
    package var records: Int
    package var state: String
    package var blocksMasked: Int
    package var maskedAt: String
    package var purgedAt: String?
    package var repairedAt: String?
    package var certifiedAt: String?
    package var due: String
    package var isOverdue: Bool
    /// What keeps it from its next state; `nil` once it is certified.
    package var waitsFor: [Wait]?
    /// Workers that did not confirm its purge in time and were cut off; `nil` without one.
    package var workersCutOff: UInt32?
    /// The name of the key that asked, or `token`; like the next two for those who may know.
    package var askedBy: String?
    package var ticket: String?
    package var reason: String?

    package init(
      deletion: UInt64, records: Int, state: String, blocksMasked: Int, maskedAt: String,
      purgedAt: String?, repairedAt: String?, certifiedAt: String?, due: String, isOverdue: Bool,
      waitsFor: [Wait]? = nil, workersCutOff: UInt32? = nil
    ) {
      self.deletion = deletion
      self.records = records
      self.state = state
      self.blocksMasked = blocksMasked
      self.maskedAt = maskedAt
      self.purgedAt = purgedAt
      self.repairedAt = repairedAt
      self.certifiedAt = certifiedAt
      self.due = due
      self.isOverdue = isOverdue
      self.waitsFor = waitsFor
      self.workersCutOff = workersCutOff
    }
  }

  /// A place, a peer or a step that a deletion waits for.
  package struct Wait: Codable, Sendable, Equatable {
    /// `slices`, `artifacts`, `checkpoints`, `journal`, `worker`, `export`, `purge` or `repair`.
    package var place: String
    /// `working`, or `waiting` until it is tried again.
    package var state: String
    /// A worker's name or an export's path.
    package var subject: String?
    /// Why it failed last, or what it waits for.
    package var reason: String?
    package var since: String

    package init(place: String, state: String, subject: String?, reason: String?, since: String) {
      self.place = place
      self.state = state
      self.subject = subject
      self.reason = reason
      self.since = since
    }
  }

  package var deletions: [Item]

  package init(deletions: [Item]) {
    self.deletions = deletions
  }
}
