internal import Hashing
package import Unlearning

/// In what order records leave, as far as masking is concerned: slices, one step at a time.
package enum DeletionStream: Sendable {
  /// One record after another, each record that is left alike.
  case uniform(recordCounts: [SliceLocation: Int])
  /// All records of one subject after another, in a random order of subjects; each step is one
  /// record, a subject's come together.
  case bySubject([[SliceLocation]])
  /// In just this order, as by someone who sees the lineage.
  case fixed([SliceLocation])

  /// A trial's steps, at most `count`; fewer where no record is left.
  func steps(_ count: Int, _ random: inout SeededGenerator) -> [SliceLocation] {
    switch self {
    case .fixed(let steps): return Array(steps.prefix(count))
    case .bySubject(let subjects):
      var steps: [SliceLocation] = []
      var rest = subjects
      while steps.count < count, !rest.isEmpty {
        let index = Int(random.next() % UInt64(rest.count))
        rest.swapAt(index, rest.count - 1)
        steps += rest.removeLast()
      }
      return Array(steps.prefix(count))
    case .uniform(let counts):
      let places = counts.keys.sorted()
      var left = places.map { counts[$0] ?? 0 }
      var whole = left.reduce(0, +)
      var steps: [SliceLocation] = []
      while steps.count < count, whole > 0 {
        var draw = Int(random.next() % UInt64(whole))
        let index = left.firstIndex { amount in
          draw -= amount
          return draw < 0
        }!
        left[index] -= 1
        whole -= 1
        steps.append(places[index])
      }
      return steps
    }
  }
}

/// How answers and depth fall while records leave and nothing is repaired.
package struct DeletionCurve: Sendable {
  package struct Point: Codable, Equatable, Sendable {
    package var deletions: Int
    /// Mean over trials of how good the answers are.
    package var quality: Double
    /// Deviation of the trials from it.
    package var deviation: Double
    /// Blocks that a shard serves, over shards and trials.
    package var meanDepth: Double
    /// Share of shards that serve something.
    package var servingShare: Double
    /// Share of trials in which nothing answers.
    package var silentShare: Double
  }

  package let points: [Point]

  /// - Parameters:
  ///   - serving: which prefixes answer; depth is counted of the deepest.
  ///   - counts: after how many deletions to look.
  ///   - quality: of what prefixes answer together; of none, what a guess is worth.
  ///   - onTrial: called after every trial.
  package init(
    _ table: PrefixLogits, stream: DeletionStream, serving: ServingRule = .deepest, counts: [Int],
    trials: Int, seed: UInt64,
    quality: ([PrefixLogits.Prefix]) -> Double, onTrial: () -> Void = {}
  ) {
    var random = SeededGenerator(seed: seed)
    // Trials meet the same prefixes again and again.
    var known: [[PrefixLogits.Prefix]: Double] = [:]
    let counts = Set(counts).sorted()
    var samples = counts.map { _ in Samples() }
    for _ in 0..<trials {
      let steps = stream.steps(counts.last ?? 0, &random)
      var tainted: [Int: Set<Int>] = [:]
      var done = 0
      for (place, count) in counts.enumerated() {
        for step in steps.prefix(count).dropFirst(done) {
          tainted[step.shard, default: []].insert(step.slice)
        }
        done = count
        let served = table.served(tainted: tainted).compactMap { $0 }
        let answering = serving == .deepest ? served : table.answering(serving, tainted: tainted)
        let value = known[answering] ?? quality(answering)
        known[answering] = value
        samples[place].add(served, value)
      }
      onTrial()
    }
    points = zip(counts, samples).map { count, samples in
      samples.point(deletions: count, trials: trials, shardCount: table.shardCount)
    }
  }

  /// What all trials met after the same number of deletions.
  private struct Samples {
    var qualities: [Double] = []
    var depth = 0
    var serving = 0
    var silent = 0

    mutating func add(_ served: [PrefixLogits.Prefix], _ quality: Double) {
      qualities.append(quality)
      depth += served.reduce(0) { $0 + $1.depth }
      serving += served.count
      if served.isEmpty { silent += 1 }
    }

    func point(deletions: Int, trials: Int, shardCount: Int) -> Point {
      let places = Double(trials * shardCount)
      let mean = qualities.reduce(0, +) / Double(trials)
      let squares = qualities.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      return Point(
        deletions: deletions, quality: mean,
        deviation: (squares / Double(max(trials - 1, 1))).squareRoot(),
        meanDepth: Double(depth) / places, servingShare: Double(serving) / places,
        silentShare: Double(silent) / Double(trials))
    }
  }
}
