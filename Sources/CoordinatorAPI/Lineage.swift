/// `GET /v1/lineage/shards/N`; printed by `lethe lineage shard`.
package struct ShardLineage: Codable, Sendable {
  package struct Slice: Codable, Sendable {
    package var slice: Int
    package var records: Int

    package init(slice: Int, records: Int) {
      self.slice = slice
      self.records = records
    }
  }

  package struct Block: Codable, Sendable {
    /// Hexadecimal; `nil` until a worker has fixed the run's numeric class.
    package var key: String?
    package var stage: Int
    package var layers: [Int]
    package var slices: [Int]
    /// `trained`, `masked`, `training` or `waiting`.
    package var state: String
    package var artifact: String?
    /// Why it is neither trained nor training.
    package var reason: String?

    package init(
      key: String?, stage: Int, layers: [Int], slices: [Int], state: String, artifact: String?,
      reason: String?
    ) {
      self.key = key
      self.stage = stage
      self.layers = layers
      self.slices = slices
      self.state = state
      self.artifact = artifact
      self.reason = reason
    }
  }

  package struct Sequence: Codable, Sendable {
    package var sequence: Int
    package var order: [Int]
    package var depth: Int
    package var blocks: [Block]

    package init(sequence: Int, order: [Int], depth: Int, blocks: [Block]) {
      self.sequence = sequence
      self.order = order
      self.depth = depth
      self.blocks = blocks
    }
  }

  package var shard: Int
  package var slices: [Slice]
  package var sequences: [Sequence]

  package init(shard: Int, slices: [Slice], sequences: [Sequence]) {
    self.shard = shard
    self.slices = slices
    self.sequences = sequences
  }
}

/// `GET /v1/lineage/records?id=…`; printed by `lethe lineage record`.
package struct RecordLineage: Codable, Sendable {
  /// `live`, `deleted` or `unknown`.
  package var state: String
  package var shard: Int?
  package var slice: Int?
  /// Keys of the blocks trained on the record that stand now.
  package var blocks: [String]

  package init(state: String, shard: Int?, slice: Int?, blocks: [String]) {
    self.state = state
    self.shard = shard
    self.slice = slice
    self.blocks = blocks
  }
}

/// `GET /v1/lineage/shards/N/blocks`; written by `lethe lineage export`.
package struct BlockLineageList: Codable, Sendable {
  /// Those that stand, parents first.
  package var blocks: [BlockLineage]

  package init(blocks: [BlockLineage]) {
    self.blocks = blocks
  }
}

/// `GET /v1/lineage/blocks/KEY`; printed by `lethe lineage block`.
package struct BlockLineage: Codable, Sendable {
  package struct Slice: Codable, Sendable {
    package var slice: Int
    package var digest: String
    package var records: Int

    package init(slice: Int, digest: String, records: Int) {
      self.slice = slice
      self.digest = digest
      self.records = records
    }
  }

  package var key: String
  package var shard: Int
  package var sequence: Int
  package var stage: Int
  package var layers: [Int]
  package var state: String
  package var reason: String?
  package var artifact: String?
  /// Everything that is hashed into the key, in order.
  package var numericClass: String
  package var backbone: String
  package var recipe: String
  /// Decimal, as 64-bit numbers lose digits in many JSON readers.
  package var seed: String
  package var parent: String?
  /// What the parent came out as, while it stands.
  package var parentArtifact: String?
  package var slices: [Slice]
  /// Blocks built on this one.
  package var children: [String]
  package var worker: String?
  /// When its training began, by the time that the worker says it took.
  package var startedAt: String?
  package var trainedAt: String?
  package var steps: UInt64?
  package var examplesPerSecond: Double?
  package var gemmShare: Double?
  package var finalLoss: Double?

  package init(
    key: String, shard: Int, sequence: Int, stage: Int, layers: [Int], state: String,
    reason: String?, artifact: String?, numericClass: String, backbone: String, recipe: String,
    seed: String, parent: String?, slices: [Slice], children: [String]
  ) {
    self.key = key
    self.shard = shard
    self.sequence = sequence
    self.stage = stage
    self.layers = layers
    self.state = state
    self.reason = reason
    self.artifact = artifact
    self.numericClass = numericClass
    self.backbone = backbone
    self.recipe = recipe
    self.seed = seed
    self.parent = parent
    self.slices = slices
    self.children = children
  }
}
