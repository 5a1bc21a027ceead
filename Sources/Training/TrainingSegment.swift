package import Unlearning

/// Records that are kept, cached and removed together: what one slice holds.
///
/// The order of its records is part of its content: activations are computed over fixed stretches
/// of it, and their bits depend on nothing outside it.
package struct TrainingSegment: Sendable {
  /// One per record.
  package var targets: [Target]
  package var activations: PrefixActivations

  /// - Precondition: as many targets as the activations have records.
  package init(targets: [Target], activations: PrefixActivations) {
    precondition(targets.count == activations.recordCount)
    self.targets = targets
    self.activations = activations
  }

  /// What a cache has to count.
  package var byteCount: Int {
    activations.byteCount + targets.count * MemoryLayout<Target>.stride
  }
}

/// A record's place among a stage's segments.
package struct RecordPosition: Hashable, Sendable {
  package var segment: Int
  package var index: Int

  package init(segment: Int, index: Int) {
    self.segment = segment
    self.index = index
  }
}

/// What a record is to be answered with.
package enum Target: Hashable, Sendable {
  /// A row of the head, by cross-entropy.
  case label(Int)
  /// A number, by the squared error of the head's only row.
  case value(Double)
}

extension TrainingRecipe {
  /// The target that a record's label means; `nil` if it is not a declared class or not a finite
  /// number.
  package func target(_ label: String) -> Target? {
    if isRegression {
      return Double(label).flatMap { $0.isFinite ? .value($0) : nil }
    }
    return labels.firstIndex(of: label).map(Target.label)
  }

  /// Whether a head under this recipe can be trained on a target.
  func admits(_ target: Target) -> Bool {
    switch target {
    case .label(let label): !isRegression && labels.indices.contains(label)
    case .value(let value): isRegression && value.isFinite
    }
  }
}
