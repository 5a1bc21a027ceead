import Hashing
import Testing
import Unlearning

@Suite("Run plan") struct RunPlanTests {
  @Test(
    "splits layers from the top, the remainder upwards",
    arguments: [
      (6, 3, [4..<6, 2..<4, 0..<2]), (6, 4, [4..<6, 2..<4, 1..<2, 0..<1]),
      (7, 3, [4..<7, 2..<4, 0..<2]),
      (24, 7, [20..<24, 16..<20, 12..<16, 9..<12, 6..<9, 3..<6, 0..<3]),
      (1, 1, [0..<1]),
    ])
  func layers(layerCount: Int, groupCount: Int, groups: [Range<Int>]) {
    #expect(RunPlan.topDownGroups(layerCount: layerCount, groupCount: groupCount) == groups)
  }

  @Test(
    "knows from a stage's layers where the next ones begin",
    arguments: [
      (6, 1, 5..<6, [4, 3, 2, 1, 0], "six groups"), (6, 4, 2..<3, [1, 0], "in the middle"),
      (6, 1, 4..<6, [2, 0], "three groups, or four: the fewest"), (6, 6, 0..<1, [], "the last"),
      (6, 3, 1..<2, [0], "four groups, and nothing else"), (6, 2, 5..<6, [], "no plan has it"),
      (6, 9, 0..<1, [], "more stages than layers"), (6, 0, 5..<6, [], "stages begin at one"),
    ])
  func starts(layerCount: Int, stage: Int, layers: Range<Int>, starts: [Int], because: String) {
    #expect(
      RunPlan.stageStarts(after: stage, layers: layers, layerCount: layerCount) == starts,
      "\(because)")
  }

  @Test(
    "keeps exactly the blocks before the first tainted slice",
    arguments: [
      ([0, 1, 2, 3], Set<Int>(), 4), ([0, 1, 2, 3], Set([3]), 3), ([3, 0, 1, 2], Set([3]), 0),
      ([2, 0, 3, 1], Set([3, 1]), 2),
    ])
  func prefix(order: [Int], tainted: Set<Int>, survives: Int) {
    #expect(SliceSequence(order).survivingPrefixCount(tainted: tainted) == survives)
  }

  @Test("rotations first, then every other order, each once", arguments: 1...4)
  func cyclic(sliceCount: Int) {
    let factorial = (1...sliceCount).reduce(1, *)
    let all = SliceSequence.cyclic(sliceCount: sliceCount, count: factorial + 5)
    #expect(all.count == factorial && Set(all).count == factorial)
    #expect(all.allSatisfy { $0.order.sorted() == Array(0..<sliceCount) })
    #expect(Set(all.prefix(sliceCount).map { $0.order[0] }).count == sliceCount)
  }

  @Test("a deletion reaches its slice's position and all after it, in its shard alone")
  func dependants() throws {
    let plan = try RunPlan(
      shardCount: 2, sliceCount: 3, sequenceCount: 2, layerCount: 6, stageData: .cumulative)
    let slots = plan.slots(dependingOn: SliceLocation(shard: 1, slice: 1))
    #expect(
      slots.map { [$0.shard, $0.sequence, $0.stage] }
        == [[1, 0, 2], [1, 0, 3], [1, 1, 1], [1, 1, 2], [1, 1, 3]])
  }

  @Test("sequences that begin alike share seeds, and so blocks")
  func seeds() throws {
    let plan = try RunPlan(
      shardCount: 1, sliceCount: 3, sequenceCount: 6, layerCount: 6, stageData: .cumulative)
    func seed(_ sequence: Int, _ stage: Int) -> UInt64 {
      LineageDigest.stageSeed(
        runSeed: 7, slot: BlockSlot(shard: 0, sequence: sequence, stage: stage), plan: plan)
    }
    let twin = try #require(plan.sequences.dropFirst(3).firstIndex { $0.order[0] == 0 })
    #expect(seed(twin, 1) == seed(0, 1))
    #expect(seed(twin, 2) != seed(0, 2))
    #expect(seed(1, 1) != seed(0, 1))
  }

  @Test("deletions until every shard is silent meet the closed form m·L·H(m·min(B,L))")
  func closedForm() throws {
    let (shards, slices, sequences, runs) = (3, 3, 2, 4000)
    let orders = SliceSequence.cyclic(sliceCount: slices, count: sequences)
    var generator = SeededGenerator(seed: 11)
    var total = 0.0
    var squares = 0.0
    for _ in 0..<runs {
      var tainted = [Set<Int>](repeating: [], count: shards)
      var count = 0
      while tainted.contains(where: { taint in
        orders.contains { $0.survivingPrefixCount(tainted: taint) > 0 }
      }) {
        tainted[Int.random(in: 0..<shards, using: &generator)].insert(
          Int.random(in: 0..<slices, using: &generator))
        count += 1
      }
      total += Double(count)
      squares += Double(count * count)
    }
    let mean = total / Double(runs)
    let error = ((squares / Double(runs) - mean * mean) / Double(runs)).squareRoot()
    let harmonic = (1...(shards * min(sequences, slices))).reduce(0.0) { $0 + 1 / Double($1) }
    #expect(abs(mean - Double(shards * slices) * harmonic) < 4 * error)
  }
}

@Suite("Partition and order") struct PartitionTests {
  @Test("an epoch's order of the others does not change when a record leaves", arguments: 0..<16)
  func order(seed: UInt64) {
    let ids = (0..<40).map { Array("record \($0)".utf8) }
    let full = EpochOrder.positions(of: ids, seed: seed, epoch: 2).map { ids[$0] }
    for gone in [0, 17, 39] {
      let rest = ids.enumerated().filter { $0.offset != gone }.map(\.element)
      let order = EpochOrder.positions(of: rest, seed: seed, epoch: 2).map { rest[$0] }
      #expect(order == full.filter { $0 != ids[gone] })
    }
    #expect(full != ids)
  }

  @Test("an id's place follows from the key and the id")
  func place() throws {
    let plan = try RunPlan(
      shardCount: 3, sliceCount: 3, sequenceCount: 1, layerCount: 6, stageData: .disjoint)
    let first = Partition(key: [1, 2, 3], plan: plan)
    let places = (0..<300).map {
      first.location(ofRecordID: Array("\($0)".utf8), deletionProbability: nil)
    }
    #expect(Set(places).count == 9)
    let second = Partition(key: [1, 2, 4], plan: plan)
    #expect(
      places
        != (0..<300).map {
          second.location(ofRecordID: Array("\($0)".utf8), deletionProbability: nil)
        })
  }

  struct Shape: Sendable {
    var counts: (shards: Int, slices: Int, sequences: Int, layers: Int)
    var error: PlanError?
    var because: String
  }

  static let shapes = [
    Shape(counts: (1, 1, 1, 1), error: nil, because: "the smallest"),
    Shape(counts: (4096, 128, 2, 128), error: nil, because: "as many slots as there may be"),
    Shape(counts: (0, 1, 1, 1), error: .shardCount(0), because: "no shard"),
    Shape(
      counts: (1, 1, 1, 0), error: .sliceCount(1, layerCount: 0), because: "no layer to train"),
    Shape(
      counts: (1, 129, 1, 1000), error: .sliceCount(129, layerCount: 1000), because: "slices"),
    Shape(
      counts: (1, 128, 257, 128), error: .sequenceCount(257, sliceCount: 128), because: "orders"),
    Shape(
      counts: (4096, 128, 3, 128), error: .sequenceCount(3, sliceCount: 128), because: "slots"),
    Shape(counts: (1, 2, 3, 4), error: .sequenceCount(3, sliceCount: 2), because: "two orders"),
  ]

  @Test("has limits, and says which was passed", arguments: shapes)
  func limits(_ shape: Shape) {
    var found: PlanError?
    do {
      _ = try RunPlan(
        shardCount: shape.counts.shards, sliceCount: shape.counts.slices,
        sequenceCount: shape.counts.sequences, layerCount: shape.counts.layers,
        stageData: .cumulative)
    } catch {
      found = error
    }
    #expect(found == shape.error, "\(shape.because)")
  }
}

@Suite("Shape options") struct ShapeOptionsTests {
  static func plan(
    _ options: ShapeOptions, slices: Int = 3, sequences: Int = 2, shards: Int = 2
  ) throws(PlanError) -> RunPlan {
    try RunPlan(
      shardCount: shards, sliceCount: slices, sequenceCount: sequences, layerCount: 6,
      stageData: .cumulative, options: options)
  }

  @Test(
    "blocks have the sizes asked for, from the top",
    arguments: [
      ([2, 2, 2], [4..<6, 2..<4, 0..<2]), ([1, 2, 1], [5..<6, 3..<5, 2..<3]),
      ([0, 6, 0], [6..<6, 0..<6, 0..<0]), ([0, 0, 0], [6..<6, 6..<6, 6..<6]),
    ])
  func sizes(counts: [Int], groups: [Range<Int>]) throws {
    #expect(try Self.plan(ShapeOptions(layersPerBlock: counts)).layerGroups == groups)
  }

  @Test("as many slices as one likes, if their blocks have layers enough")
  func manySlices() throws {
    #expect(throws: PlanError.sliceCount(7, layerCount: 6)) {
      try Self.plan(ShapeOptions(), slices: 7)
    }
    let options = ShapeOptions(layersPerBlock: [1, 1, 1, 1, 1, 1, 0])
    #expect(try Self.plan(options, slices: 7).layerGroups.count == 7)
  }

  @Test(
    "what does not fit is refused",
    arguments: [
      ShapeOptions(layersPerBlock: [3, 3]), ShapeOptions(layersPerBlock: [3, 3, 1]),
      ShapeOptions(layersPerBlock: [3, -1, 1]),
      ShapeOptions(layersPerBlock: [.max, 1, 1]),
      ShapeOptions(orders: [SliceSequence([0, 1, 2])]),
      ShapeOptions(orders: [SliceSequence([0, 1, 2]), SliceSequence([0, 1, 2])]),
      ShapeOptions(orders: [SliceSequence([0, 1, 2]), SliceSequence([0, 1, 1])]),
      ShapeOptions(sliceThresholds: [0.5]), ShapeOptions(sliceThresholds: [0.5, 0.5]),
      ShapeOptions(sliceThresholds: [0.6, 0.5]), ShapeOptions(sliceThresholds: [0.5, .nan]),
      ShapeOptions(sliceThresholds: [0.5, 1.5]),
    ])
  func refused(options: ShapeOptions) {
    #expect(throws: PlanError.self) { try Self.plan(options) }
  }

  @Test("orders are those given")
  func orders() throws {
    let orders = [SliceSequence([2, 1, 0]), SliceSequence([0, 2, 1])]
    let plan = try Self.plan(ShapeOptions(orders: orders))
    #expect(plan.sequences == orders)
    #expect(plan.slicesRead(by: BlockSlot(shard: 0, sequence: 0, stage: 2)) == [2, 1])
  }

  @Test("declared probabilities choose the slice, ids the shard and all else")
  func thresholds() throws {
    let plain = Partition(key: [1, 2, 3], plan: try Self.plan(ShapeOptions()))
    let sorted = Partition(
      key: [1, 2, 3], plan: try Self.plan(ShapeOptions(sliceThresholds: [0.1, 0.5])))
    for index in 0..<50 {
      let id = Array("\(index)".utf8)
      let place = plain.location(ofRecordID: id, deletionProbability: nil)
      #expect(sorted.location(ofRecordID: id, deletionProbability: nil) == place)
      #expect(plain.location(ofRecordID: id, deletionProbability: 0.7) == place)
      for (probability, slice) in [(0, 0), (0.09, 0), (0.1, 1), (0.49, 1), (0.5, 2), (1, 2)] {
        #expect(
          sorted.location(ofRecordID: id, deletionProbability: probability)
            == SliceLocation(shard: place.shard, slice: slice))
      }
    }
  }

  @Test("a shape has the name it has in the literature")
  func layouts() throws {
    func layout(_ shards: Int, _ slices: Int, _ sequences: Int, _ layers: [Int]? = nil) throws
      -> Layout
    {
      try Self.plan(
        ShapeOptions(layersPerBlock: layers), slices: slices, sequences: sequences, shards: shards
      ).layout
    }
    #expect(try layout(5, 3, 3) == .s3t)
    #expect(try layout(5, 3, 1) == .sisa)
    #expect(try layout(5, 1, 1) == .adapterPerShard)
    #expect(try layout(1, 1, 1) == .full)
    #expect(try layout(5, 1, 1, [0]) == .headOnly)
    #expect(try layout(1, 3, 2, [0, 0, 0]) == .headOnly)
  }
}
