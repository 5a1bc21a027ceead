import Forecast
import Testing
import Unlearning

@Suite("Forecasts") struct ForecastTests {
  @Test("closed forms where they are easy")
  func closedForms() {
    func close(_ value: Double, _ expected: Double) -> Bool {
      abs(value - expected) < 1e-6 * expected
    }
    #expect(ClosedForms.harmonic(1) == 1 && close(ClosedForms.harmonic(4), 25.0 / 12))
    #expect(ClosedForms.allShardsSilent(shards: 1, slices: 1, heads: 1) == 1)
    #expect(
      close(ClosedForms.allShardsSilent(shards: 5, slices: 4, heads: 2), 20 * 2.928968253968254))
    // One shard is first and last; with one head the first of m hits of probability 1/(m·L).
    for heads in 1...6 {
      #expect(
        close(
          ClosedForms.firstShardSilent(shards: 1, slices: 6, heads: heads),
          ClosedForms.allShardsSilent(shards: 1, slices: 6, heads: heads)))
    }
    for shards in [1, 3, 20] {
      #expect(close(ClosedForms.firstShardSilent(shards: shards, slices: 7, heads: 1), 7))
    }
  }

  struct Shape: Sendable {
    let shards: Int
    let slices: Int
    let sequences: Int
  }

  static let shapes = [
    Shape(shards: 5, slices: 4, sequences: 1), Shape(shards: 5, slices: 4, sequences: 4),
    Shape(shards: 3, slices: 6, sequences: 2), Shape(shards: 2, slices: 3, sequences: 6),
    Shape(shards: 1, slices: 1, sequences: 1),
  ]

  @Test("trials come to what theory says", arguments: shapes)
  func theory(shape: Shape) throws {
    let sequences = SliceSequence.cyclic(sliceCount: shape.slices, count: shape.sequences)
    let forecast = DeletionForecast(shardCount: shape.shards, sequences: sequences)
    let result = try #require(forecast.run(trials: 4_000, seed: 1))
    let heads = min(shape.slices, shape.sequences)
    let all = ClosedForms.allShardsSilent(shards: shape.shards, slices: shape.slices, heads: heads)
    let first = ClosedForms.firstShardSilent(
      shards: shape.shards, slices: shape.slices, heads: heads)
    #expect(abs(result.allShardsSilent.mean - all) <= 5 * result.allShardsSilent.standardError)
    #expect(abs(result.firstShardSilent.mean - first) <= 5 * result.firstShardSilent.standardError)
    #expect(result.meanDepthAfter[0] == Double(shape.slices))
    #expect(result.meanDepthAfter == result.meanDepthAfter.sorted(by: >), "depth never grows")
    #expect(forecast.run(trials: 10, seed: 2) == forecast.run(trials: 10, seed: 2))
    // A shard of one slice has one fate.
    let isCertain = shape.shards * shape.slices == 1
    #expect((forecast.run(trials: 10, seed: 2) == forecast.run(trials: 10, seed: 3)) == isCertain)
  }

  @Test("one deletion costs what its slice's place says")
  func firstDeletion() throws {
    // One sequence of four: the slice at place i leaves depth i, so 1.5 on average.
    let forecast = DeletionForecast(
      shardCount: 1, sequences: SliceSequence.cyclic(sliceCount: 4, count: 1))
    let result = try #require(forecast.run(trials: 20_000, seed: 1))
    #expect(abs(result.meanDepthAfter[1] - 1.5) < 0.05)
    #expect(forecast.depth(tainted: 0b0100) == 2 && forecast.depth(tainted: 0) == 4)
  }

  @Test("weights draw deletions to likely slices, and a slice that is never hit ends no trial")
  func weights() throws {
    let sequences = SliceSequence.cyclic(sliceCount: 3, count: 1)
    let likely = DeletionForecast(shardCount: 2, sequences: sequences, weights: [8, 1, 1])
    let result = try #require(likely.run(trials: 4_000, seed: 1))
    // The collector of two pictures with probability 0.4 each: 1/0.8 + 1/0.4.
    #expect(abs(result.allShardsSilent.mean - 3.75) < 0.15)
    let never = DeletionForecast(shardCount: 2, sequences: sequences, weights: [0, 1, 1])
    #expect(never.run(trials: 1, seed: 1) == nil)
  }

  @Test("whoever sees the lineage needs one deletion for every first slice", arguments: shapes)
  func worstCase(shape: Shape) throws {
    let sequences = SliceSequence.cyclic(sliceCount: shape.slices, count: shape.sequences)
    let forecast = DeletionForecast(shardCount: shape.shards, sequences: sequences)
    let worst = WorstCase(forecast)
    let heads = min(shape.slices, shape.sequences)
    #expect(worst.allShardsSilent == shape.shards * heads)
    #expect(worst.meanDepthAfter.last == 0)
    let uniform = try #require(forecast.run(trials: 1_000, seed: 1))
    for (index, depth) in worst.meanDepthAfter.enumerated()
    where index < uniform.meanDepthAfter.count {
      #expect(depth <= uniform.meanDepthAfter[index] + 1e-9)
    }
  }
}
