/// `GET /v1/runs`: the runs a coordinator owns, which is one.
package struct RunList: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package var name: String
    package var layout: String
    /// The version of Lethe that answers.
    package var version: String
    /// The first line of every checkpoint of its ledger.
    package var origin: String

    package init(name: String, layout: String, version: String, origin: String) {
      self.name = name
      self.layout = layout
      self.version = version
      self.origin = origin
    }
  }

  package var runs: [Item]

  package init(runs: [Item]) {
    self.runs = runs
  }
}

/// `GET /v1/plan`: what is trained on what, the same in every shard.
package struct PlanDescription: Codable, Sendable {
  package var shards: Int
  package var slices: Int
  /// Slices in the order in which each sequence reads them.
  package var sequences: [[Int]]
  /// Layers that each stage trains, from the first stage on.
  package var layerGroups: [[Int]]
  /// `cumulative` or `disjoint`.
  package var stageData: String

  package init(
    shards: Int, slices: Int, sequences: [[Int]], layerGroups: [[Int]], stageData: String
  ) {
    self.shards = shards
    self.slices = slices
    self.sequences = sequences
    self.layerGroups = layerGroups
    self.stageData = stageData
  }
}

/// `GET /v1/shards`
package struct ShardList: Codable, Sendable {
  package var shards: [RunStatus.Shard]

  package init(shards: [RunStatus.Shard]) {
    self.shards = shards
  }
}

/// `GET /v1/workers`
package struct WorkerList: Codable, Sendable {
  package var workers: [RunStatus.Worker]

  package init(workers: [RunStatus.Worker]) {
    self.workers = workers
  }
}

/// `GET /v1/blocks`: every place of the grid, by shard, sequence and stage.
package struct BlockList: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package var shard: Int
    package var sequence: Int
    package var stage: Int
    /// `trained`, `masked`, `training` or `waiting`.
    package var state: String
    /// Why it is neither trained nor training.
    package var reason: String?
    /// Hexadecimal; `nil` until a worker has fixed the run's numeric class.
    package var key: String?

    package init(
      shard: Int, sequence: Int, stage: Int, state: String, reason: String?, key: String?
    ) {
      self.shard = shard
      self.sequence = sequence
      self.stage = stage
      self.state = state
      self.reason = reason
      self.key = key
    }
  }

  package var blocks: [Item]

  package init(blocks: [Item]) {
    self.blocks = blocks
  }
}
