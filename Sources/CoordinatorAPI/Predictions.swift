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

  package init(records: [Item], maximumDepth: Int? = nil) {
    self.records = records
    self.maximumDepth = maximumDepth
  }
}

/// Answers in the order asked; printed by `lethe predict`.
package struct PredictionResponse: Codable, Sendable {
  package struct Shard: Codable, Sendable, Equatable {
    package var shard: Int
    package var sequence: Int
    package var depth: Int

    package init(shard: Int, sequence: Int, depth: Int) {
      self.shard = shard
      self.sequence = sequence
      self.depth = depth
    }
  }

  package struct Item: Codable, Sendable {
    package var id: String?
    package var label: String
    /// In the order of the recipe's labels.
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

  package init(predictions: [Item]) {
    self.predictions = predictions
  }
}
