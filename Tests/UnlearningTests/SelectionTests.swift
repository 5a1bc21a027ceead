import Hashing
import Testing
import Unlearning

@Suite("Sequences by probability") struct SelectionTests {
  static func probabilities(_ count: Int, seed: UInt64) -> [Double] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Double(random.nextUnitFloat()) / 8 }
  }

  /// Every way to give rows columns, by trying.
  static func best(_ weights: [[Double]]) -> Double {
    func best(_ row: Int, _ taken: Set<Int>) -> Double {
      guard row < weights.count else { return 0 }
      return weights.indices.filter { !taken.contains($0) }.map { column in
        weights[row][column] + best(row + 1, taken.union([column]))
      }.max()!
    }
    return best(0, [])
  }

  @Test("an assignment is as good as the best of all", arguments: 1...6, UInt64(0)..<20)
  func assignment(count: Int, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var weights = (0..<count).map { _ in
      // Whole numbers, so that there are ties and sums are exact.
      (0..<count).map { _ in Double(Int(random.next() % 7)) }
    }
    if count > 1 { weights[0][1] = -.infinity }
    let columns = try #require(MaximumAssignment.columns(weights))
    #expect(Set(columns) == Set(0..<count))
    #expect(
      columns.enumerated().reduce(0) { $0 + weights[$1.offset][$1.element] } == Self.best(weights))
  }

  @Test("an assignment that does not exist is none")
  func impossible() {
    #expect(MaximumAssignment.columns([[1, -.infinity], [2, -.infinity]]) == nil)
    #expect(MaximumAssignment.columns([]) == [])
  }

  /// The matching of one round after another, each by trying all.
  static func matchedByTrying(_ probabilities: [Double], exponent: Int) -> Double {
    let count = probabilities.count
    var orders = (0..<count).map { [$0] }
    var total = 0.0
    for _ in 1..<max(count, 1) {
      var (bestSum, bestChoice): (Double, [Int]) = (-.infinity, [])
      func extend(_ row: Int, _ choice: [Int], _ sum: Double) {
        guard row < count else {
          if sum > bestSum { (bestSum, bestChoice) = (sum, choice) }
          return
        }
        for slice in 0..<count where !choice.contains(slice) && !orders[row].contains(slice) {
          extend(
            row + 1, choice + [slice],
            sum
              + SliceSequence.score(
                orders[row] + [slice], probabilities: probabilities, exponent: exponent))
        }
      }
      extend(0, [], 0)
      for (row, slice) in bestChoice.enumerated() { orders[row].append(slice) }
      total = bestSum
    }
    return total
  }

  @Test("matching is as good as trying all, round after round", arguments: 2...6)
  func matching(count: Int) {
    for seed in UInt64(0)..<(count < 6 ? 12 : 3) {
      for exponent in [1, 3, 100] {
        let probabilities = Self.probabilities(count, seed: seed)
        let sequences = SliceSequence.matched(probabilities: probabilities, exponent: exponent)
        let scores = sequences.map {
          SliceSequence.score($0.order, probabilities: probabilities, exponent: exponent)
        }
        let expected = Self.matchedByTrying(probabilities, exponent: exponent)
        #expect(abs(scores.reduce(0, +) - expected) <= 1e-9 * max(1, expected))
        #expect(Set(sequences.map { $0.order[0] }) == Set(0..<count), "each slice begins one")
        #expect(scores == scores.sorted(by: >))
        #expect(SliceSequence.diversity(sequences) == Double(count), "no slice twice at one place")
      }
    }
  }

  @Test("drawn sequences are different permutations, the same for one seed")
  func sampling() {
    let probabilities = [0.9, 0.1, 0.1, 0.1]
    let sequences = SliceSequence.sampled(probabilities: probabilities, count: 10, seed: 1)
    #expect(sequences.count == 10 && Set(sequences).count == 10)
    #expect(sequences.allSatisfy { $0.order.sorted() == [0, 1, 2, 3] })
    #expect(sequences == SliceSequence.sampled(probabilities: probabilities, count: 10, seed: 1))
    #expect(sequences != SliceSequence.sampled(probabilities: probabilities, count: 10, seed: 2))
    #expect(
      SliceSequence.sampled(probabilities: probabilities, count: 99, seed: 1).count == 24,
      "there are no more")
    let begin = (0..<400).count {
      SliceSequence.sampled(probabilities: probabilities, count: 1, seed: UInt64($0))[0].order[0]
        == 0
    }
    #expect((5...25).contains(begin), "0.1 of 2.8, of 400 draws")
  }

  @Test("cyclic sequences differ everywhere, up to as many as there are slices")
  func diversity() {
    for count in 2...8 {
      #expect(
        SliceSequence.diversity(SliceSequence.cyclic(sliceCount: count, count: count))
          == Double(count))
    }
    #expect(SliceSequence.diversity(SliceSequence.cyclic(sliceCount: 4, count: 1)) == 0)
    #expect(SliceSequence.diversity(SliceSequence.cyclic(sliceCount: 4, count: 24)) < 4)
  }
}
