/// Why the figures that came with a block cannot be those of its training.
package enum FigureProblem: Error, Equatable, Sendable {
  case steps(UInt64, expected: UInt64)
  case examples(UInt64, expected: UInt64)
  /// Not a number, negative, or longer than anything takes.
  case seconds
  case loss
  case slices(UInt64, most: Int)
}

extension FigureProblem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .steps(let found, let expected): "it claims \(found) steps where the plan has \(expected)"
    case .examples(let found, let expected):
      "it claims \(found) examples where the plan has \(expected)"
    case .seconds: "it claims a time that is not between 0 and 10^9 seconds"
    case .loss: "it claims a loss that is not a finite number from 0 on"
    case .slices(let found, let most): "it claims \(found) slices where the stage reads \(most)"
    }
  }
}

extension TrainingWork {
  /// Thirty years.
  package static let longestSeconds = 1e9
  /// The largest that training in single precision can come to.
  package static let largestLoss = 0x1.fffffep127
  /// So many blocks' counts can be added up without overflow, and none can have as many.
  package static let largestCount: UInt64 = 1 << 40

  /// Holds what a worker claims against what training the block takes.
  package func check(_ demand: BlockDemand) throws(FigureProblem) {
    guard steps == demand.stepCount else { throw .steps(steps, expected: demand.stepCount) }
    guard examples == demand.exampleCount else {
      throw .examples(examples, expected: demand.exampleCount)
    }
    let times = 0...Self.longestSeconds
    guard times.contains(seconds), times.contains(gemmSeconds) else { throw .seconds }
    guard (0...Self.largestLoss).contains(finalLoss) else { throw .loss }
    let sliceCount = UInt64(slicesKept) + UInt64(slicesComputed)
    guard sliceCount <= UInt64(demand.sliceCount) else {
      throw .slices(sliceCount, most: demand.sliceCount)
    }
  }

  /// The same figures without those that nothing can come to, which read as none.
  ///
  /// A journal of an earlier version may hold any number that a worker claimed.
  package var bounded: TrainingWork {
    func time(_ value: Double) -> Double { (0...Self.longestSeconds).contains(value) ? value : 0 }
    func count(_ value: UInt64) -> UInt64 { value <= Self.largestCount ? value : 0 }
    return TrainingWork(
      steps: count(steps), examples: count(examples), seconds: time(seconds),
      gemmSeconds: time(gemmSeconds),
      finalLoss: (0...Self.largestLoss).contains(finalLoss) ? finalLoss : 0,
      slicesKept: slicesKept, slicesComputed: slicesComputed)
  }
}
