package import Unlearning

/// The schedule of Hugging Face's `constant_with_warmup` and `linear`, factor by factor.
package struct LearningRateFactors: Sendable {
  package let schedule: LearningRateSchedule
  package let warmupStepCount: Int
  package let totalStepCount: Int

  /// - Parameter warmup: a share of all steps when below one, rounded up; else a number of steps.
  package init(schedule: LearningRateSchedule, warmup: Double, totalStepCount: Int) {
    self.schedule = schedule
    self.totalStepCount = totalStepCount
    let steps = warmup < 1 ? (Double(totalStepCount) * warmup).rounded(.up) : warmup.rounded(.down)
    warmupStepCount = Int(min(max(steps, 0), 1e15))
  }

  /// What the rate is multiplied with at a step counted from zero.
  ///
  /// With any warm-up the first step's factor is zero, as in the reference.
  package func factor(atStep step: Int) -> Double {
    if step < warmupStepCount { return Double(step) / Double(max(1, warmupStepCount)) }
    switch schedule {
    case .constant: return 1
    case .linear:
      let left = Double(totalStepCount - step)
      return max(0, left / Double(max(1, totalStepCount - warmupStepCount)))
    }
  }
}
