/// `POST /v1/train`: what is wished for besides training.
package struct TrainingWish: Codable, Sendable {
  /// The numeric class that the run is to be of; heard only while no block has been trained.
  package var numericClass: String?

  package init(numericClass: String? = nil) {
    self.numericClass = numericClass
  }
}

/// `POST /v1/audits`: train a share of the standing blocks again and compare bits.
package struct AuditRequest: Codable, Sendable {
  package var share: Double

  package init(share: Double) {
    self.share = share
  }
}

/// How second trainings have come out since the coordinator started; part of `status`.
package struct AuditReport: Codable, Sendable {
  package var checked: Int
  package var matched: Int
  package var waiting: Int
  /// Of those checked, the ones that the key that had trained them repeated: no independent
  /// confirmation.
  package var repeated: Int?
  /// Audits given up after too many attempts.
  package var abandoned: Int?
  /// Share of matches; `nil` before the first.
  package var matchRate: Double?

  package init(
    checked: Int, matched: Int, waiting: Int, repeated: Int? = nil, abandoned: Int? = nil,
    matchRate: Double?
  ) {
    self.repeated = repeated
    self.abandoned = abandoned
    self.checked = checked
    self.matched = matched
    self.waiting = waiting
    self.matchRate = matchRate
  }
}

/// `POST /v1/backups` and `POST /v1/exports`: a folder on the coordinator's machine.
package struct CopyRequest: Codable, Sendable {
  package var path: String
  /// What an export holds.
  package var artifacts: [String]?

  package init(path: String, artifacts: [String]? = nil) {
    self.path = path
    self.artifacts = artifacts
  }
}

/// `POST /v1/exports/forget`
package struct CopyPath: Codable, Sendable {
  package var path: String

  package init(path: String) {
    self.path = path
  }
}

/// `GET /v1/exports`: what the run knows of outside its directory; printed by `lethe exports`.
package struct CopyList: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package var path: String
    /// `export` or `backup`.
    package var kind: String
    /// When it was written.
    package var at: String
    /// `current`, `being removed` or `out of reach`: then a deletion's receipt says so.
    package var state: String
    /// Since when a purge wants it gone.
    package var since: String?
    /// Why it could not be removed last.
    package var reason: String?

    package init(
      path: String, kind: String, at: String, state: String, since: String?, reason: String?
    ) {
      self.path = path
      self.kind = kind
      self.at = at
      self.state = state
      self.since = since
      self.reason = reason
    }
  }

  package var copies: [Item]

  package init(copies: [Item]) {
    self.copies = copies
  }
}

/// What a backup holds; printed by `lethe backup`.
package struct BackupReport: Codable, Sendable {
  package var path: String
  package var journalSequence: UInt64
  package var ledgerSize: UInt64
  package var records: Int
  package var files: Int
  package var bytes: Int
  /// What proves that this run wrote the backup; in none, so a copy belongs elsewhere.
  package var keyFile: String?

  package init(
    path: String, journalSequence: UInt64, ledgerSize: UInt64, records: Int, files: Int,
    bytes: Int, keyFile: String
  ) {
    self.keyFile = keyFile
    self.path = path
    self.journalSequence = journalSequence
    self.ledgerSize = ledgerSize
    self.records = records
    self.files = files
    self.bytes = bytes
  }
}

/// `POST /v1/salts/erase`
package struct SaltErasure: Codable, Sendable {
  package var deletion: UInt64

  package init(deletion: UInt64) {
    self.deletion = deletion
  }
}

/// `GET /v1/why?block=…`: why a slot's block was trained more than once; printed by `lethe why`.
package struct BlockHistory: Codable, Sendable {
  /// One loss of the slot's block.
  package struct Loss: Codable, Sendable {
    package var at: String
    /// `deletion N`, `quarantined` or `artifact lost`.
    package var cause: String
    /// Every field of the block key, with whether this loss changed it.
    package var fields: [Field]

    package init(at: String, cause: String, fields: [Field]) {
      self.at = at
      self.cause = cause
      self.fields = fields
    }
  }

  package struct Field: Codable, Sendable {
    package var name: String
    package var changed: Bool
    package var detail: String?

    package init(name: String, changed: Bool, detail: String? = nil) {
      self.name = name
      self.changed = changed
      self.detail = detail
    }
  }

  package var key: String?
  package var shard: Int
  package var sequence: Int
  package var stage: Int
  package var state: String
  package var reason: String?
  package var losses: [Loss]

  package init(
    key: String?, shard: Int, sequence: Int, stage: Int, state: String, reason: String?,
    losses: [Loss]
  ) {
    self.key = key
    self.shard = shard
    self.sequence = sequence
    self.stage = stage
    self.state = state
    self.reason = reason
    self.losses = losses
  }
}
