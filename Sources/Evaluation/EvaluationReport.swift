package import Unlearning

/// What `lethe evaluate` prints and `lethe report` draws.
package struct EvaluationReport: Codable, Sendable {
  /// How good answers are: of classes, or of numbers.
  package struct Score: Codable, Equatable, Sendable {
    /// Blocks that a shard served at most; `nil` without a bound.
    package var maximumDepth: Int?
    /// Blocks that a shard served, over all shards.
    package var meanDepth: Double
    package var quality: Quality?
    package var deviation: Deviation?

    package init(
      maximumDepth: Int? = nil, meanDepth: Double, quality: Quality?, deviation: Deviation?
    ) {
      self.maximumDepth = maximumDepth
      self.meanDepth = meanDepth
      self.quality = quality
      self.deviation = deviation
    }

    /// Accuracy, or the share of the variance that numbers account for.
    package var share: Double { quality?.accuracy ?? deviation?.determination ?? 0 }
  }

  /// Deletions in some order, with nothing repaired.
  package struct Stream: Codable, Sendable {
    /// `uniform`, `subject` or `adversarial`.
    package var stream: String
    package var aggregation: Aggregation
    package var serving: ServingRule
    package var points: [DeletionCurve.Point]

    package init(
      stream: String, aggregation: Aggregation, serving: ServingRule,
      points: [DeletionCurve.Point]
    ) {
      self.stream = stream
      self.aggregation = aggregation
      self.serving = serving
      self.points = points
    }
  }

  /// The run, or what it would be with fewer sequences: the blocks are the same.
  package struct Ensemble: Codable, Sendable {
    package var layout: String
    package var sequences: Int
    package var served: Score
    package var byDepth: [Score]
    package var deletions: [Stream]
    /// Of one deletion that falls on every record alike.
    package var repair: RepairCost

    package init(
      layout: String, sequences: Int, served: Score, byDepth: [Score], deletions: [Stream],
      repair: RepairCost
    ) {
      self.layout = layout
      self.sequences = sequences
      self.served = served
      self.byDepth = byDepth
      self.deletions = deletions
      self.repair = repair
    }
  }

  package struct Shard: Codable, Sendable {
    package var shard: Int
    package var depth: Int
    package var score: Score

    package init(shard: Int, depth: Int, score: Score) {
      self.shard = shard
      self.depth = depth
      self.score = score
    }
  }

  package struct Rule: Codable, Sendable {
    package var aggregation: Aggregation
    package var serving: ServingRule
    package var score: Score

    package init(aggregation: Aggregation, serving: ServingRule, score: Score) {
      self.aggregation = aggregation
      self.serving = serving
      self.score = score
    }
  }

  /// Can one tell by the answers who was trained on?
  package struct Membership: Codable, Sendable {
    package var members: Int
    package var strangers: Int
    package var byLoss: MembershipTest
    package var byConfidence: MembershipTest
    package var compared: Comparison?

    package init(
      members: Int, strangers: Int, byLoss: MembershipTest, byConfidence: MembershipTest,
      compared: Comparison? = nil
    ) {
      self.members = members
      self.strangers = strangers
      self.byLoss = byLoss
      self.byConfidence = byConfidence
      self.compared = compared
    }
  }

  /// The same texts before another run's ensemble.
  package struct Comparison: Codable, Sendable {
    package var run: String
    package var byLoss: MembershipTest
    package var byConfidence: MembershipTest
    /// Whether every logit of every prefix is the same, bit for bit.
    package var isIdentical: Bool

    package init(
      run: String, byLoss: MembershipTest, byConfidence: MembershipTest, isIdentical: Bool
    ) {
      self.run = run
      self.byLoss = byLoss
      self.byConfidence = byConfidence
      self.isIdentical = isIdentical
    }
  }

  package var run: String
  package var journalSequence: UInt64
  package var shards: Int
  package var slices: Int
  /// Layers of each block, the topmost first.
  package var layersPerBlock: [Int]
  package var labels: [String]
  /// Training records that are left, and texts that were evaluated.
  package var records: Int
  package var texts: Int
  package var aggregation: Aggregation
  package var serving: ServingRule
  /// The run as it is, and with one sequence where it has more.
  package var ensembles: [Ensemble]
  package var members: [Shard]
  package var rules: [Rule]
  /// Training one adapter on all records again.
  package var fullRetraining: RepairCost
  package var membership: Membership?

  /// An ensemble's streams under the rules that the run answers by; it may hold others beside them.
  package func ownStreams(of ensemble: Ensemble) -> [Stream] {
    ensemble.deletions.filter { ($0.aggregation, $0.serving) == (aggregation, serving) }
  }

  package init(
    run: String, journalSequence: UInt64, shards: Int, slices: Int, layersPerBlock: [Int],
    labels: [String], records: Int, texts: Int, aggregation: Aggregation, serving: ServingRule,
    ensembles: [Ensemble], members: [Shard], rules: [Rule], fullRetraining: RepairCost,
    membership: Membership? = nil
  ) {
    self.run = run
    self.journalSequence = journalSequence
    self.shards = shards
    self.slices = slices
    self.layersPerBlock = layersPerBlock
    self.labels = labels
    self.records = records
    self.texts = texts
    self.aggregation = aggregation
    self.serving = serving
    self.ensembles = ensembles
    self.members = members
    self.rules = rules
    self.fullRetraining = fullRetraining
    self.membership = membership
  }
}
