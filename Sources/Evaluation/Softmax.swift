internal import Numerics

/// Probabilities from logits, in double precision.
package enum Softmax {
  /// Sums to one; the highest logit is taken off first, so nothing overflows.
  package static func probabilities(_ logits: [Double]) -> [Double] {
    let highest = logits.max() ?? 0
    let powers = logits.map { Elementary.exp($0 - highest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  /// −log of a label's probability.
  package static func loss(_ logits: [Double], label: Int) -> Double {
    let highest = logits.max() ?? 0
    let sum = logits.reduce(0) { $0 + Elementary.exp($1 - highest) }
    return Elementary.log(sum) + highest - logits[label]
  }
}
