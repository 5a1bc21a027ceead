import Hashing
import Unlearning

/// What deletions without repair leave of an ensemble, tried out many times on paper.
///
/// A deletion falls on one slice of one shard, drawn anew each time, and masks in every sequence
/// the blocks from that slice on. No training, no records: only positions.
package struct DeletionForecast: Sendable {
  package let shardCount: Int
  /// The slice orders, the same in every shard.
  package let sequences: [SliceSequence]
  /// How likely a deletion falls on each slice of a shard, relative to the others; `nil` if on all
  /// alike.
  package let weights: [Double]?

  /// What `sequences` may have: slices are bits of a word.
  package static let sliceLimit = 64

  /// - Precondition: at least one shard and one sequence of 1 to `sliceLimit` slices; as many
  ///   weights as slices, none negative, one positive.
  package init(shardCount: Int, sequences: [SliceSequence], weights: [Double]? = nil) {
    precondition(shardCount > 0 && !sequences.isEmpty)
    precondition((1...Self.sliceLimit).contains(sequences[0].order.count))
    precondition(
      weights.map { weights in
        weights.count == sequences[0].order.count && weights.allSatisfy { $0 >= 0 }
          && weights.contains { $0 > 0 }
      } ?? true)
    self.shardCount = shardCount
    self.sequences = sequences
    self.weights = weights
  }

  package var sliceCount: Int { sequences[0].order.count }

  /// A mean over trials and how far it may be off.
  package struct Estimate: Equatable, Sendable {
    package var mean: Double
    /// Of the mean: the trials' deviation over the root of their number.
    package var standardError: Double

    init(_ values: [Double]) {
      let count = Double(values.count)
      let mean = values.reduce(0, +) / count
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      self.mean = mean
      standardError = values.count > 1 ? (squares / (count - 1) / count).squareRoot() : 0
    }
  }

  package struct Result: Equatable, Sendable {
    /// Deletions until some shard serves nothing.
    package var firstShardSilent: Estimate
    /// Deletions until no shard serves anything.
    package var allShardsSilent: Estimate
    /// Blocks a shard serves after 0, 1, 2, … deletions, on average over shards and trials.
    package var meanDepthAfter: [Double]
  }

  /// Most deletions in a trial; a slice of almost no weight could take for ever.
  private static let deletionLimit = 1 << 24

  /// Lets deletions fall until nothing serves, again and again.
  ///
  /// - Parameters:
  ///   - onTrial: called after every trial.
  /// - Returns: `nil` if a trial did not end, because a slice that must be hit never is.
  package func run(trials: Int, seed: UInt64, onTrial: () -> Void = {}) -> Result? {
    precondition(trials > 0)
    guard firstSlices.allSatisfy({ weights?[$0] ?? 1 > 0 }) else { return nil }
    var random = SeededGenerator(seed: seed)
    var (firsts, alls): ([Double], [Double]) = ([], [])
    var depthSums: [Int] = []
    for _ in 0..<trials {
      guard let trial = trial(&depthSums, &random) else { return nil }
      firsts.append(Double(trial.first))
      alls.append(Double(trial.all))
      onTrial()
    }
    return Result(
      firstShardSilent: Estimate(firsts), allShardsSilent: Estimate(alls),
      meanDepthAfter: depthSums.map { Double($0) / Double(trials * shardCount) })
  }

  /// The slices that some sequence begins with: a shard is silent once all of them were hit.
  var firstSlices: Set<Int> { Set(sequences.map { $0.order[0] }) }

  private func trial(_ depthSums: inout [Int], _ random: inout SeededGenerator)
    -> (first: Int, all: Int)?
  {
    var tainted = [UInt64](repeating: 0, count: shardCount)
    var depths = [Int](repeating: sliceCount, count: shardCount)
    var total = shardCount * sliceCount
    var silentCount = 0
    var first: Int?
    let cumulative = self.cumulative
    add(total, at: 0, to: &depthSums)
    for deletion in 1...Self.deletionLimit {
      let shard = Int(random.next() % UInt64(shardCount))
      let slice = draw(cumulative, &random)
      if tainted[shard] >> UInt64(slice) & 1 == 0, depths[shard] > 0 {
        tainted[shard] |= 1 << UInt64(slice)
        let depth = depth(tainted: tainted[shard])
        total -= depths[shard] - depth
        depths[shard] = depth
        if depth == 0 {
          silentCount += 1
          first = first ?? deletion
        }
      }
      add(total, at: deletion, to: &depthSums)
      if silentCount == shardCount { return first.map { ($0, deletion) } }
    }
    return nil
  }

  private func add(_ total: Int, at deletion: Int, to sums: inout [Int]) {
    if deletion == sums.count { sums.append(0) }
    sums[deletion] += total
  }

  /// Where each slice's part of the whole weight ends; empty where all are alike.
  private var cumulative: [Double] {
    guard let weights else { return [] }
    var sum = 0.0
    return weights.map { weight in
      sum += weight
      return sum
    }
  }

  private func draw(_ cumulative: [Double], _ random: inout SeededGenerator) -> Int {
    guard let whole = cumulative.last else { return Int(random.next() % UInt64(sliceCount)) }
    let place = Double(random.next() >> 11) * 0x1p-53 * whole
    return cumulative.firstIndex { place < $0 } ?? cumulative.count - 1
  }

  /// What a shard serves with some of its slices hit, a bit each.
  package func depth(tainted: UInt64) -> Int {
    var deepest = 0
    for sequence in sequences {
      var depth = 0
      for slice in sequence.order {
        if tainted >> UInt64(slice) & 1 == 1 { break }
        depth += 1
      }
      deepest = max(deepest, depth)
    }
    return deepest
  }
}
