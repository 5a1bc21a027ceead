internal import Numerics
package import Unlearning

/// How well scores answer texts whose classes are known.
package struct Quality: Codable, Equatable, Sendable {
  /// Share of texts that get their class.
  package var accuracy: Double
  /// The mean of the classes' F1, over classes that occur among texts or answers.
  package var macroF1: Double
  /// Mean −log of the right class's probability.
  package var loss: Double
  /// Mean squared distance of the probabilities from the truth (Brier), from 0 to 2.
  package var brier: Double
  /// How far confidence and accuracy are apart: over ten bins of equal width of the highest
  /// probability, the mean of the difference, by the texts in a bin.
  package var calibrationError: Double

  package static let binCount = 10

  /// - Parameters:
  ///   - scores: one row per text, at least one; logits but for `vote`.
  ///   - labels: the classes, as indices into a row.
  package init(_ scores: [[Double]], labels: [Int], by rule: Aggregation) {
    precondition(!scores.isEmpty && scores.count == labels.count)
    let probabilities = scores.map { Self.probabilities($0, by: rule) }
    let answers = scores.map(Aggregation.answer)
    let count = Double(scores.count)
    accuracy = Self.accuracy(scores, labels: labels)
    macroF1 = Self.macroF1(answers, labels, classCount: scores[0].count)
    loss = zip(scores, labels).reduce(0) { $0 + Self.loss($1.0, label: $1.1, by: rule) } / count
    var brier = 0.0
    for (row, label) in zip(probabilities, labels) {
      for (index, value) in row.enumerated() {
        let distance = value - (index == label ? 1 : 0)
        brier += distance * distance
      }
    }
    self.brier = brier / count
    calibrationError = Self.calibrationError(probabilities, answers, labels)
  }

  package static func accuracy(_ scores: [[Double]], labels: [Int]) -> Double {
    Double(zip(scores, labels).count { Aggregation.answer($0) == $1 }) / Double(labels.count)
  }

  /// −log of the right class's probability.
  package static func loss(_ scores: [Double], label: Int, by rule: Aggregation) -> Double {
    guard rule == .vote else { return Softmax.loss(scores, label: label) }
    let probability = probabilities(scores, by: rule)[label]
    return -Elementary.log(max(probability, .leastNormalMagnitude))
  }

  /// Logits become probabilities; votes with their settled ties are a share of all.
  package static func probabilities(_ scores: [Double], by rule: Aggregation) -> [Double] {
    guard rule == .vote else { return Softmax.probabilities(scores) }
    let whole = scores.reduce(0, +)
    return scores.map { $0 / whole }
  }

  private static func macroF1(_ answers: [Int], _ labels: [Int], classCount: Int) -> Double {
    var (hits, answered, present) = (
      [Int](repeating: 0, count: classCount), [Int](repeating: 0, count: classCount),
      [Int](repeating: 0, count: classCount)
    )
    for (answer, label) in zip(answers, labels) {
      answered[answer] += 1
      present[label] += 1
      if answer == label { hits[answer] += 1 }
    }
    var (sum, count) = (0.0, 0.0)
    for label in 0..<classCount where answered[label] + present[label] > 0 {
      sum += 2 * Double(hits[label]) / Double(answered[label] + present[label])
      count += 1
    }
    return sum / count
  }

  private static func calibrationError(
    _ probabilities: [[Double]], _ answers: [Int], _ labels: [Int]
  ) -> Double {
    var confidence = [Double](repeating: 0, count: binCount)
    var hits = confidence
    for (index, row) in probabilities.enumerated() {
      let highest = row.max() ?? 0
      let bin = min(Int(highest * Double(binCount)), binCount - 1)
      confidence[bin] += highest
      if answers[index] == labels[index] { hits[bin] += 1 }
    }
    return zip(confidence, hits).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(answers.count)
  }
}

/// How far a regression's answers are off.
package struct Deviation: Codable, Equatable, Sendable {
  package var meanSquaredError: Double
  /// Share of the values' variance that answers account for; negative if their mean were better.
  package var determination: Double

  /// - Parameter scores: rows of one number.
  package init(_ scores: [[Double]], values: [Double]) {
    precondition(!scores.isEmpty && scores.count == values.count)
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    let spread = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    meanSquaredError =
      zip(scores, values).reduce(0) { $0 + ($1.0[0] - $1.1) * ($1.0[0] - $1.1) } / count
    determination = spread == 0 ? 0 : 1 - meanSquaredError / spread
  }
}

/// Whether one can tell by a model's answers who was trained on (membership inference).
package struct MembershipTest: Codable, Equatable, Sendable {
  /// Chance that a member looks more like one than a stranger does; a half tells nothing.
  package var area: Double
  /// Share of members found where one stranger in a hundred is taken for a member.
  package var truePositiveRateAtOnePercent: Double

  /// - Parameters:
  ///   - members: how much each looks like a member; less loss, or more confidence, as a number
  ///     that grows.
  ///   - strangers: the same of texts that were never trained on.
  package init(members: [Double], strangers: [Double]) {
    precondition(!members.isEmpty && !strangers.isEmpty)
    let sorted = strangers.sorted()
    var wins = 0.0
    for member in members {
      let below = Self.count(sorted) { $0 < member }
      let notAbove = Self.count(sorted) { $0 <= member }
      wins += Double(below) + Double(notAbove - below) / 2
    }
    area = wins / Double(members.count * strangers.count)
    // Whoever lies above all but one per cent of the strangers.
    let allowed = strangers.count / 100
    let threshold = sorted[sorted.count - 1 - allowed]
    truePositiveRateAtOnePercent =
      Double(members.count { $0 > threshold }) / Double(members.count)
  }

  /// Values at the front of a sorted list that a condition holds for.
  private static func count(_ sorted: [Double], _ holds: (Double) -> Bool) -> Int {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if holds(sorted[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
