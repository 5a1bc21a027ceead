import Unlearning

/// Deletions by someone who sees the lineage and wants to hurt: each falls where it costs the
/// ensemble most depth now, and among those where it leaves least to lose later.
package struct WorstCase: Sendable {
  package struct Deletion: Equatable, Sendable {
    package var shard: Int
    package var slice: Int
  }

  package private(set) var deletions: [Deletion] = []
  /// Blocks a shard serves after 0, 1, 2, … deletions, on average over shards.
  package private(set) var meanDepthAfter: [Double]
  /// Deletions until some shard serves nothing, and until none serves anything.
  package private(set) var firstShardSilent = 0
  package private(set) var allShardsSilent = 0

  /// Plays until nothing serves.
  package init(_ forecast: DeletionForecast) {
    let slices = forecast.sliceCount
    var tainted = [UInt64](repeating: 0, count: forecast.shardCount)
    var depths = [Int](repeating: slices, count: forecast.shardCount)
    meanDepthAfter = [Double(slices)]
    while depths.contains(where: { $0 > 0 }) {
      var best: (loss: Int, left: Int, at: Deletion)?
      for shard in tainted.indices where depths[shard] > 0 {
        for slice in 0..<slices where tainted[shard] >> UInt64(slice) & 1 == 0 {
          let after = tainted[shard] | 1 << UInt64(slice)
          let loss = depths[shard] - forecast.depth(tainted: after)
          // What all sequences together would still serve, not only the deepest.
          let left = forecast.sequences.reduce(0) { sum, sequence in
            sum + (sequence.order.firstIndex { after >> UInt64($0) & 1 == 1 } ?? slices)
          }
          if best.map({ (loss, -left) > ($0.loss, -$0.left) }) ?? true {
            best = (loss, left, Deletion(shard: shard, slice: slice))
          }
        }
      }
      guard let place = best?.at else { break }
      tainted[place.shard] |= 1 << UInt64(place.slice)
      depths[place.shard] = forecast.depth(tainted: tainted[place.shard])
      deletions.append(place)
      if depths[place.shard] == 0, firstShardSilent == 0 { firstShardSilent = deletions.count }
      meanDepthAfter.append(Double(depths.reduce(0, +)) / Double(forecast.shardCount))
    }
    allShardsSilent = deletions.count
  }
}
