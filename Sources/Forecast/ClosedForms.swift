/// What theory says of uniform deletions (S3T, arXiv 2406.16257): how long an ensemble lasts.
///
/// `heads` is the number of slices of a shard that some sequence begins with, min(B, L) for cyclic
/// sequences. A shard is silent once all of them were hit, so this is a collector's problem: `m·L`
/// pictures, of which those `heads` in every shard are wanted.
package enum ClosedForms {
  /// 1 + 1/2 + … + 1/n
  package static func harmonic(_ count: Int) -> Double {
    // From the smallest on: less is lost.
    (1...max(count, 1)).reversed().reduce(0) { $0 + 1 / Double($1) }
  }

  /// Expected deletions until no shard serves: m·L·H(m·heads).
  package static func allShardsSilent(shards: Int, slices: Int, heads: Int) -> Double {
    Double(shards * slices) * harmonic(shards * heads)
  }

  /// Expected deletions until some shard serves nothing: m·L·∫₀¹ (1 − yʰ)ᵐ ∕ (1 − y) dy.
  ///
  /// With deletions at the times of a Poisson process the slices are hit independently; the time of
  /// the first silent shard is the least of m independent maxima of h exponential times, and its
  /// mean, with y = 1 − e^(−t/mL), is this integral.
  package static func firstShardSilent(shards: Int, slices: Int, heads: Int) -> Double {
    let intervals = 1 << 14
    func value(_ y: Double) -> Double {
      // 1 − yʰ = (1 − y)(1 + y + … + yʰ⁻¹), which leaves nothing to divide by.
      var (sum, power) = (0.0, 1.0)
      for _ in 0..<heads {
        sum += power
        power *= y
      }
      var product = sum
      for _ in 1..<max(shards, 1) { product *= 1 - power }
      return product
    }
    // Simpson's rule.
    let step = 1 / Double(intervals)
    var sum = value(0) + value(1)
    for index in 1..<intervals {
      sum += (index % 2 == 0 ? 2 : 4) * value(Double(index) * step)
    }
    return Double(shards * slices) * sum * step / 3
  }
}
