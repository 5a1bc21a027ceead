import Hashing

// Sequences for those who know who will leave: probabilities of a deletion, a slice each.

extension SliceSequence {
  /// How good a sequence is where slices have these probabilities of a deletion: the sum over
  /// depths of depth · (1 − what its slices so far add up to)^exponent. Never less than zero.
  ///
  /// Of a sequence that is not complete yet, the depths it has (S3T's bipartite matching score).
  package static func score(
    _ order: some Sequence<Int>, probabilities: [Double], exponent: Int = scoreExponent
  ) -> Double {
    var (score, sum, depth) = (0.0, 0.0, 0.0)
    for slice in order {
      depth += 1
      sum += probabilities[slice]
      score += depth * power(max(0, 1 - sum), exponent)
    }
    return score
  }

  package static let scoreExponent = 100

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, rest) = (1.0, base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result *= factor }
      factor *= factor
      rest >>= 1
    }
    return result
  }

  /// Iterative bipartite matching: one sequence begins with each slice, and every round gives each
  /// of them one more that it lacks, no slice twice, so that the scores add up to the most.
  ///
  /// - Returns: as many as there are slices, best score first.
  package static func matched(probabilities: [Double], exponent: Int = scoreExponent)
    -> [SliceSequence]
  {
    let count = probabilities.count
    var orders = (0..<count).map { [$0] }
    for _ in 1..<max(count, 1) {
      let weights = orders.map { order in
        (0..<count).map { slice in
          order.contains(slice)
            ? -Double.infinity
            : score(order + [slice], probabilities: probabilities, exponent: exponent)
        }
      }
      // The orders so far are the rows of a Latin rectangle, which can always be extended (Hall).
      for (row, slice) in MaximumAssignment.columns(weights)!.enumerated() {
        orders[row].append(slice)
      }
    }
    let scores = orders.map { score($0, probabilities: probabilities, exponent: exponent) }
    return orders.indices.sorted { (scores[$1], $0) < (scores[$0], $1) }
      .map { SliceSequence(orders[$0]) }
  }

  /// Different sequences drawn slice by slice, the next one with weight one minus its probability.
  ///
  /// Fewer than `count` only where there are no more, or where those that are left are too unlikely
  /// to come up.
  package static func sampled(probabilities: [Double], count: Int, seed: UInt64)
    -> [SliceSequence]
  {
    var random = SeededGenerator(seed: seed)
    var found: [SliceSequence] = []
    var known: Set<SliceSequence> = []
    for _ in 0..<1000 * max(count, 1) where found.count < count {
      var rest = Array(probabilities.indices)
      var order: [Int] = []
      while !rest.isEmpty {
        let whole = rest.reduce(0) { $0 + max(0, 1 - probabilities[$1]) }
        var place = Double(random.next() >> 11) * 0x1p-53 * whole
        let drawn =
          rest.firstIndex { slice in
            place -= max(0, 1 - probabilities[slice])
            return place < 0
          } ?? rest.count - 1
        order.append(rest.remove(at: drawn))
      }
      let sequence = SliceSequence(order)
      if known.insert(sequence).inserted { found.append(sequence) }
    }
    return found
  }

  /// In how many places two of the sequences differ, on average over all pairs; at most their
  /// length, and zero for one alone.
  package static func diversity(_ sequences: [SliceSequence]) -> Double {
    var (sum, pairs) = (0, 0)
    for (index, first) in sequences.enumerated() {
      for second in sequences[(index + 1)...] {
        sum += zip(first.order, second.order).count { $0 != $1 }
        pairs += 1
      }
    }
    return pairs == 0 ? 0 : Double(sum) / Double(pairs)
  }
}
