/// `POST /v1/predictions`
package struct PredictionRequest: Codable, Sendable {
  package struct Item: Codable, Sendable {
    package var id: String?
    package var text: String
    package var textPair: String?

    package init(id: String? = nil, text: String, textPair: String? = nil) {
      self.id = id
      self.text = text
      self.textPair = textPair
    }

    enum CodingKeys: String, CodingKey {
      case id, text
      case textPair = "text_pair"
    }
  }

  package var records: [Item]
  /// Serve no more blocks of a shard than this.
  package var maximumDepth: Int?
  /// `mean-logits`, `mean-probability`, `vote` or `depth-weighted`; default: as the run file says.
  package var aggregation: String?
  /// `deepest` or `every-sequence`; default: as the run file says.
  package var serving: String?
  /// Name the blocks that answer.
  package var explain: Bool?

  package init(
    records: [Item], maximumDepth: Int? = nil, aggregation: String? = nil,
    serving: String? = nil, explain: Bool? = nil
  ) {
    self.records = records
    self.maximumDepth = maximumDepth
    self.aggregation = aggregation
    self.serving = serving
    self.explain = explain
  }
}

/// Answers in the order asked; printed by `lethe predict`.
package struct PredictionResponse: Codable, Sendable {
  package struct Shard: Codable, Sendable, Equatable {
    package var shard: Int
    package var sequence: Int
    package var depth: Int
    /// Where the question asked for it: the served blocks, by stage.
    package var blocks: [Block]?

    package init(shard: Int, sequence: Int, depth: Int, blocks: [Block]?) {
      self.shard = shard
      self.sequence = sequence
      self.depth = depth
      self.blocks = blocks
    }
  }

  package struct Block: Codable, Sendable, Equatable {
    package var key: String
    package var artifact: String
    package var layers: [Int]
    package var slices: [Int]

    package init(key: String, artifact: String, layers: [Int], slices: [Int]) {
      self.key = key
      self.artifact = artifact
      self.layers = layers
      self.slices = slices
    }
  }

  package struct Item: Codable, Sendable {
    package var id: String?
    package var label: String
    /// In the order of the recipe's labels: their scores under the rule of aggregation.
    package var logits: [Double]
    package var shards: [Shard]

    package init(id: String?, label: String, logits: [Double], shards: [Shard]) {
      self.id = id
      self.label = label
      self.logits = logits
      self.shards = shards
    }
  }

  package var predictions: [Item]
  /// The rule that made one answer of the shards'; `nil` of a model alone.
  package var aggregation: String?

  package init(predictions: [Item], aggregation: String? = nil) {
    self.predictions = predictions
    self.aggregation = aggregation
  }
}
