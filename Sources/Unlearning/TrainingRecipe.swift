import Hashing

/// Everything that decides how a block is trained, apart from its data, ancestors and seed.
///
/// Nothing in it is fitted on data: a field that looked at records would carry a deleted record's
/// influence into every block (DESIGN X2).
package struct TrainingRecipe: Equatable, Sendable {
  /// The classes, in the order of the head's rows; declared, never collected from records. One
  /// alone is no class but the name of a number: the run is a regression on it.
  package var labels: [String]
  /// Which projections carry adapters, in canonical order without repeats.
  package var targets: [ProjectionTarget]
  /// Inner dimension of every adapter.
  package var rank: Int
  /// Numerator of the adapter's scale.
  package var alpha: Double
  /// Scale `alpha / √rank` instead of `alpha / rank` (rsLoRA, arXiv 2312.03732).
  package var rankStabilized: Bool
  package var epochs: Int
  /// Records in a step; an epoch's last step takes what is left.
  package var batchSize: Int
  package var learningRate: Double
  /// The classifier head's own rate: early stages see few records and need a faster head.
  package var headLearningRate: Double
  package var schedule: LearningRateSchedule
  /// Warm-up: a share of all steps when below one, else a number of steps.
  package var warmup: Double
  /// Decoupled decay, applied to every trained tensor.
  package var weightDecay: Double
  /// Limit on the gradient's Euclidean norm over all trained tensors; 0 switches clipping off.
  package var maximumGradientNorm: Double
  /// Longest token sequence, special tokens included; longer texts are cut like Hugging Face does.
  package var maximumTokens: Int
  /// Where the head of the first stage starts.
  package var headStart: HeadStart
  /// Each stage's learning rates are this times those of the stage before.
  package var stageRateFactor: Double
  /// The adapter whose matrices the blocks start from; `nil`: drawn from the stage's seed.
  package var startingAdapter: Digest?

  package init(
    labels: [String], targets: [ProjectionTarget] = [.query, .value], rank: Int = 8,
    alpha: Double = 16, rankStabilized: Bool = true, epochs: Int = 3, batchSize: Int = 8,
    learningRate: Double = 2e-3, headLearningRate: Double? = nil,
    schedule: LearningRateSchedule = .linear, warmup: Double = 0.06, weightDecay: Double = 0.01,
    maximumGradientNorm: Double = 1, maximumTokens: Int = 128, headStart: HeadStart = .zero,
    stageRateFactor: Double = 1, startingAdapter: Digest? = nil
  ) {
    self.labels = labels
    self.targets = Set(targets).sorted()
    self.rank = rank
    self.alpha = alpha
    self.rankStabilized = rankStabilized
    self.epochs = epochs
    self.batchSize = batchSize
    self.learningRate = learningRate
    self.headLearningRate = headLearningRate ?? 10 * learningRate
    self.schedule = schedule
    self.warmup = warmup
    self.weightDecay = weightDecay
    self.maximumGradientNorm = maximumGradientNorm
    self.maximumTokens = maximumTokens
    self.headStart = headStart
    self.stageRateFactor = stageRateFactor
    self.startingAdapter = startingAdapter
  }

  /// Whether records carry a number to be met, with the mean squared error as the loss.
  package var isRegression: Bool { labels.count == 1 }

  /// What an adapter's product `B·A` is multiplied with.
  package var adapterScale: Double {
    rankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
  }
}

extension TrainingRecipe {
  /// The steps of a stage over that many records: a function of the plan, so that nobody has to be
  /// believed about it.
  package func stepCount(recordCount: Int) -> Int {
    let batchSize = max(batchSize, 1)
    let (padded, overflow) = recordCount.addingReportingOverflow(batchSize - 1)
    return Self.product(max(epochs, 0), (overflow ? recordCount : padded) / batchSize)
  }

  /// Records that a stage sees, each counted once an epoch.
  package func exampleCount(recordCount: Int) -> Int { Self.product(max(epochs, 0), recordCount) }

  private static func product(_ left: Int, _ right: Int) -> Int {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? .max : product
  }
}

/// How the learning rate moves after warm-up.
package enum LearningRateSchedule: String, Codable, CaseIterable, Sendable {
  case constant
  /// Falls in a straight line to zero at the last step.
  case linear
}

/// Where the head of a sequence's first stage starts; later stages go on from their parent's.
package enum HeadStart: String, Codable, CaseIterable, Sendable {
  case zero
  /// From the frozen encoder's features of the stage's own records: a linear discriminant, or for a
  /// regression least squares, both shrunk.
  case closedForm = "closed-form"
}
