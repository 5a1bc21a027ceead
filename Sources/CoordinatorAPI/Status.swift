/// `GET /v1/status`; printed by `lethe status` and followed by `lethe train --watch`.
package struct RunStatus: Codable, Sendable {
  package struct Shard: Codable, Sendable {
    package var shard: Int
    package var records: Int
    /// Blocks of the deepest prefix that serves.
    package var depth: Int
    package var sequenceDepths: [Int]

    package init(shard: Int, records: Int, depth: Int, sequenceDepths: [Int]) {
      self.shard = shard
      self.records = records
      self.depth = depth
      self.sequenceDepths = sequenceDepths
    }
  }

  package struct Worker: Codable, Sendable {
    package var name: String
    package var roles: [String]
    /// The block being trained, as shard/sequence/stage.
    package var training: String?
    package var step: UInt32?
    package var totalSteps: UInt32?
    /// Why the worker gets no work.
    package var reason: String?

    package init(name: String, roles: [String]) {
      self.name = name
      self.roles = roles
    }
  }

  package struct StageSpeed: Codable, Sendable {
    package var stage: Int
    package var layers: [Int]
    package var blocks: Int
    package var examplesPerSecond: Double
    /// Share of training time inside matrix products.
    package var gemmShare: Double
    /// Share of slices whose activations below these layers workers still had from before; `nil`
    /// where there is nothing below.
    package var keptShare: Double?

    package init(
      stage: Int, layers: [Int], blocks: Int, examplesPerSecond: Double, gemmShare: Double,
      keptShare: Double?
    ) {
      self.stage = stage
      self.layers = layers
      self.blocks = blocks
      self.examplesPerSecond = examplesPerSecond
      self.gemmShare = gemmShare
      self.keptShare = keptShare
    }
  }

  package struct Repair: Codable, Sendable {
    /// `eager`, `batched`, `depth` or `manual`.
    package var policy: String
    /// What the policy comes to, in words.
    package var rule: String
    /// Slices that repairs may read in an hour, and may read at once; `nil` without a limit.
    package var slicesPerHour: Int?
    package var slicesLeft: Int?

    package init(policy: String, rule: String, slicesPerHour: Int?, slicesLeft: Int?) {
      self.policy = policy
      self.rule = rule
      self.slicesPerHour = slicesPerHour
      self.slicesLeft = slicesLeft
    }
  }

  package var run: String
  /// What the literature calls the run's shape: `s3t`, `sisa`, `adapter-per-shard`, `full` or
  /// `head-only`.
  package var layout: String
  package var repair: Repair
  package var journalSequence: UInt64
  package var records: Int
  package var deleted: Int
  package var blocks: Int
  package var blocksTrained: Int
  package var blocksMasked: Int
  package var blocksTraining: Int
  /// Blocks by the reason they wait.
  package var waiting: [String: Int]
  package var fullDepth: Int
  package var shards: [Shard]
  package var workers: [Worker]
  package var stages: [StageSpeed]
  package var numericClass: String?
  package var deletionsPending: Int
  /// Entries in the ledger, and the root over them in hexadecimal.
  package var ledgerSize: UInt64
  package var ledgerRoot: String
  /// Syncs of the journal since the coordinator started, two for every group of entries.
  package var journalSyncs: Int
  package var audit: AuditReport
  package var alarms: [String]
  /// What workers handed in and was refused since the start, by what it was.
  package var refused: [String: Int]?
  /// Names of keys under which too much was refused.
  package var keysTurnedOut: [String]?
  /// What the purge under way waits for, and exports that are still to be removed; empty without.
  package var purgeWaitsFor: [DeletionList.Wait] = []

  package init(
    run: String, layout: String, repair: Repair, journalSequence: UInt64, records: Int,
    deleted: Int, blocks: Int,
    blocksTrained: Int, blocksMasked: Int, blocksTraining: Int, waiting: [String: Int],
    fullDepth: Int, shards: [Shard], workers: [Worker], stages: [StageSpeed],
    numericClass: String?, deletionsPending: Int, ledgerSize: UInt64, ledgerRoot: String,
    journalSyncs: Int, audit: AuditReport, alarms: [String]
  ) {
    self.run = run
    self.layout = layout
    self.repair = repair
    self.journalSequence = journalSequence
    self.records = records
    self.deleted = deleted
    self.blocks = blocks
    self.blocksTrained = blocksTrained
    self.blocksMasked = blocksMasked
    self.blocksTraining = blocksTraining
    self.waiting = waiting
    self.fullDepth = fullDepth
    self.shards = shards
    self.workers = workers
    self.stages = stages
    self.numericClass = numericClass
    self.deletionsPending = deletionsPending
    self.ledgerSize = ledgerSize
    self.ledgerRoot = ledgerRoot
    self.journalSyncs = journalSyncs
    self.audit = audit
    self.alarms = alarms
  }
}

/// `POST /v1/verify`; printed by `lethe verify`.
package struct VerificationReport: Codable, Sendable {
  package var blocksChecked: Int
  /// Blocks whose recorded key is the key recomputed from the records on disk.
  package var keysMatch: Int
  /// Blocks that were retrained for the comparison.
  package var bitsChecked: Int
  /// Of those, the ones that came out with the same bytes.
  package var bitsMatch: Int
  package var problems: [String]

  package init(
    blocksChecked: Int, keysMatch: Int, bitsChecked: Int, bitsMatch: Int, problems: [String]
  ) {
    self.blocksChecked = blocksChecked
    self.keysMatch = keysMatch
    self.bitsChecked = bitsChecked
    self.bitsMatch = bitsMatch
    self.problems = problems
  }
}

/// `GET /v1/recipe`: what an exporter needs to know.
package struct RecipeDescription: Codable, Sendable {
  package var labels: [String]
  package var rank: Int
  package var alpha: Double
  package var rankStabilized: Bool
  package var targets: [String]
  package var maximumTokens: Int
  /// The digest of what workers have: the backbone, with the starting adapter if there is one.
  package var backbone: String

  package init(
    labels: [String], rank: Int, alpha: Double, rankStabilized: Bool, targets: [String],
    maximumTokens: Int, backbone: String
  ) {
    self.labels = labels
    self.rank = rank
    self.alpha = alpha
    self.rankStabilized = rankStabilized
    self.targets = targets
    self.maximumTokens = maximumTokens
    self.backbone = backbone
  }
}
