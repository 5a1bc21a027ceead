package import ModelFormats

/// What a stage leaves behind.
package struct TrainedBlock: Sendable {
  /// In the order of layers and projections.
  package var adapters: [Adapter]
  package var head: ClassifierHead
  /// The mean loss of each step's batch, before the step.
  package var losses: [Double]
  package var statistics: TrainingStatistics
}

/// Where a stage stands after a step.
package struct TrainingProgress: Sendable {
  /// Counted from zero.
  package var step: Int
  package var totalStepCount: Int
  /// Before the step.
  package var loss: Double
}

/// What training cost; nothing in a result depends on it.
package struct TrainingStatistics: Sendable, Equatable {
  package var steps = 0
  package var examples = 0
  package var tokens = 0
  package var seconds = 0.0
  /// Inside BLAS.
  package var gemmSeconds = 0.0
  package var floatingPointOperations = 0.0

  package init() {}

  package var examplesPerSecond: Double { seconds > 0 ? Double(examples) / seconds : 0 }
  package var gemmShare: Double { seconds > 0 ? gemmSeconds / seconds : 0 }
  package var gigaflopsPerSecond: Double {
    seconds > 0 ? floatingPointOperations / seconds / 1e9 : 0
  }
}
