/// `POST /v1/deletions`
package struct DeletionRequest: Codable, Sendable {
  package var ids: [String]

  package init(ids: [String]) {
    self.ids = ids
  }
}

/// What became of every id, in the order asked; printed by `lethe delete`.
package struct DeletionResponse: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package enum Outcome: String, Codable, Sendable { case accepted, duplicate, unknown, invalid }

    package var id: String
    package var outcome: Outcome
    /// `masked`, `purged`, `repaired`, or `rejected` for unknown and invalid ids.
    package var state: String
    /// Blocks that stopped serving because of the request this id came with.
    package var blocksMasked: Int
    /// From the request's arrival until it was durable and masked.
    package var acknowledgedAfterMs: Double
    /// The number of the deletion, for `lethe deletions`.
    package var deletion: UInt64?

    package init(
      id: String, outcome: Outcome, state: String, blocksMasked: Int, acknowledgedAfterMs: Double,
      deletion: UInt64?
    ) {
      self.id = id
      self.outcome = outcome
      self.state = state
      self.blocksMasked = blocksMasked
      self.acknowledgedAfterMs = acknowledgedAfterMs
      self.deletion = deletion
    }
  }

  package var requests: [Item]

  package init(requests: [Item]) {
    self.requests = requests
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

    package init(
      deletion: UInt64, records: Int, state: String, blocksMasked: Int, maskedAt: String,
      purgedAt: String?, repairedAt: String?
    ) {
      self.deletion = deletion
      self.records = records
      self.state = state
      self.blocksMasked = blocksMasked
      self.maskedAt = maskedAt
      self.purgedAt = purgedAt
      self.repairedAt = repairedAt
    }
  }

  package var deletions: [Item]

  package init(deletions: [Item]) {
    self.deletions = deletions
  }
}
