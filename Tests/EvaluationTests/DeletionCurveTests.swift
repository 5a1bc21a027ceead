import Evaluation
import Forecast
import Testing
import Unlearning

@Suite struct DeletionCurveTests {
  /// Every prefix of two shards of three slices in two sequences; a prefix's only logit is its
  /// depth.
  static let table = {
    var table = PrefixLogits(
      shardCount: 2, sequences: SliceSequence.cyclic(sliceCount: 3, count: 2))
    for shard in 0..<2 {
      for sequence in 0..<2 {
        for depth in 1...3 {
          table[PrefixLogits.Prefix(shard: shard, sequence: sequence, depth: depth)] = [
            [Double(depth)]
          ]
        }
      }
    }
    return table
  }()

  static func prefix(_ shard: Int, _ sequence: Int, _ depth: Int) -> PrefixLogits.Prefix {
    PrefixLogits.Prefix(shard: shard, sequence: sequence, depth: depth)
  }

  /// Sequences 0 1 2 and 1 2 0.
  static let servings: [([Int: Set<Int>], [PrefixLogits.Prefix?])] = [
    ([:], [prefix(0, 0, 3), prefix(1, 0, 3)]),
    ([0: [0]], [prefix(0, 1, 2), prefix(1, 0, 3)]),
    ([0: [2], 1: [1]], [prefix(0, 0, 2), prefix(1, 0, 1)]),
    ([0: [0, 1]], [nil, prefix(1, 0, 3)]),
  ]

  @Test(arguments: servings)
  func theDeepestUntaintedPrefixServes(
    tainted: [Int: Set<Int>], served: [PrefixLogits.Prefix?]
  ) {
    #expect(Self.table.served(tainted: tainted) == served)
  }

  @Test func aPrefixThatDoesNotStandServesNothing() {
    var table = Self.table
    table[Self.prefix(0, 0, 3)] = nil
    #expect(table.served()[0] == Self.prefix(0, 1, 3))
    table[Self.prefix(0, 1, 3)] = nil
    #expect(table.served()[0] == Self.prefix(0, 0, 2))
  }

  @Test func everySequenceServesWhatIsLeftOfIt() {
    let tainted: [Int: Set<Int>] = [0: [2], 1: [0, 1]]
    #expect(
      Self.table.answering(.everySequence, tainted: tainted)
        == [Self.prefix(0, 0, 2), Self.prefix(0, 1, 1)])
    #expect(Self.table.answering(.deepest, tainted: tainted) == [Self.prefix(0, 0, 2)])
    #expect(Self.table.answering(.everySequence, maximumDepth: 1).allSatisfy { $0.depth == 1 })
  }

  @Test func fewerSequencesAreTheFirst() {
    let single = Self.table.keeping(sequenceCount: 1)
    #expect(single.sequences.count == 1)
    #expect(single[Self.prefix(0, 1, 1)] == nil)
    #expect(single.served(tainted: [0: [0]])[0] == nil)
  }

  @Test func fixedStepsByHand() {
    let steps = [
      SliceLocation(shard: 0, slice: 0), SliceLocation(shard: 0, slice: 1),
      SliceLocation(shard: 1, slice: 2),
    ]
    let curve = DeletionCurve(
      Self.table, stream: .fixed(steps), counts: [0, 1, 2, 3, 9], trials: 1, seed: 1
    ) { Double($0.count) }
    #expect(curve.points.map(\.deletions) == [0, 1, 2, 3, 9])
    #expect(curve.points.map(\.quality) == [2, 2, 1, 1, 1])
    #expect(curve.points.map(\.meanDepth) == [3, 2.5, 1.5, 1, 1])
    #expect(curve.points.map(\.servingShare) == [1, 1, 0.5, 0.5, 0.5])
    #expect(curve.points.allSatisfy { $0.silentShare == 0 && $0.deviation == 0 })
  }

  /// Where records are as many in every slice, the depths are those of the forecast that draws
  /// slices; two implementations of the same thing.
  @Test func uniformDeletionsAgreeWithTheForecast() throws {
    let places = (0..<2).flatMap { shard in
      (0..<3).map { SliceLocation(shard: shard, slice: $0) }
    }
    let counts = Dictionary(uniqueKeysWithValues: places.map { ($0, 100_000) })
    let curve = DeletionCurve(
      Self.table, stream: .uniform(recordCounts: counts), counts: Array(0...6), trials: 4000,
      seed: 3
    ) { _ in 0 }
    let forecast = try #require(
      DeletionForecast(shardCount: 2, sequences: Self.table.sequences).run(trials: 4000, seed: 4))
    for (point, depth) in zip(curve.points, forecast.meanDepthAfter) {
      #expect(abs(point.meanDepth - depth) < 0.06)
    }
  }

  /// All records of a person go before anyone else's, and nobody goes twice.
  @Test func peopleGoTogether() {
    let shards = [0, 1].map { shard in
      (0..<3).map { SliceLocation(shard: shard, slice: $0) }
    }
    let curve = DeletionCurve(
      Self.table, stream: .bySubject(shards), counts: [3, 6, 100], trials: 50, seed: 5
    ) { Double($0.count) }
    #expect(curve.points.map(\.quality) == [1, 0, 0])
    #expect(curve.points.map(\.silentShare) == [0, 1, 1])
  }

  /// A slice of one record cannot lose a second.
  @Test func noRecordLeavesTwice() {
    let counts = [SliceLocation(shard: 0, slice: 0): 1, SliceLocation(shard: 1, slice: 2): 1]
    let curve = DeletionCurve(
      Self.table, stream: .uniform(recordCounts: counts), counts: [1, 2, 50], trials: 20, seed: 6
    ) { served in Double(served.map(\.depth).reduce(0, +)) }
    #expect(curve.points.dropFirst().map(\.quality) == [4, 4])
  }
}

@Suite struct RepairCostTests {
  static let plan = try! RunPlan(
    shardCount: 2, sliceCount: 3, sequenceCount: 3, layerCount: 6, stageData: .cumulative)

  /// Ten records a slice; layers 4–5, 2–3, 0–1 from the top.
  @Test func aShardByHand() {
    let sequence = Self.plan.slots(ofShard: 0).filter { $0.sequence == 0 }
    let cost = RepairCost(sequence, Self.plan, layerCount: 6) { _ in 10 }
    #expect(cost.blocks == 3)
    #expect(cost.slicePasses == 6)
    #expect(cost.recordPasses == 60)
    #expect(cost.layerPasses == 280)  // 10·2 + 20·4 + 30·6
  }

  /// One sequence: the first slice costs all three blocks, the last only the deepest.
  @Test func aDeletionByHand() {
    let cost = RepairCost.perDeletion(Self.plan, layerCount: 6, sequenceCount: 1) { _ in 10 }
    #expect(abs(cost.blocks - 2) < 1e-9)
    #expect(abs(cost.recordPasses - 140.0 / 3) < 1e-9)
  }

  /// A slice without records is hit by nothing.
  @Test func deletionsFallWhereRecordsAre() {
    let cost = RepairCost.perDeletion(Self.plan, layerCount: 6, sequenceCount: 1) {
      $0.slice == 2 ? 7 : 0
    }
    #expect(abs(cost.blocks - 1) < 1e-9)
    #expect(abs(cost.recordPasses - 7) < 1e-9)
  }

  @Test func sharedPrefixesAreTrainedOnce() throws {
    let plan = try RunPlan(
      shardCount: 1, sliceCount: 3, sequenceCount: 6, layerCount: 6, stageData: .cumulative)
    let cost = RepairCost(plan.allSlots, plan, layerCount: 6) { _ in 1 }
    // Three first blocks, six pairs, six orders.
    #expect(cost.blocks == 15)
  }
}
