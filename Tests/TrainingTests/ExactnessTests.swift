import Hashing
import ModelFormats
import Numerics
import Testing
import Tokenization
import Training
import Unlearning

/// The promises about bits: what may and what may not reach a trained block.
@Suite("Exactness")
struct ExactnessTests {
  static let recipe = TrainingRecipe(
    labels: ["a", "b", "c"], targets: [.query, .value, .output], rank: 3, epochs: 3, batchSize: 3,
    warmup: 0.1)

  /// Three segments of the fixture's records, some of them more than once.
  static func parts(_ fixture: Fixture) -> [[Int]] {
    [[0, 1, 2, 3], [4, 5, 6], [7, 0, 2, 5, 1]]
  }

  static func segment(_ fixture: Fixture, _ records: [Int], below layer: Int) throws
    -> TrainingSegment
  {
    TrainingSegment(
      targets: records.map { .label(fixture.labels[$0]) },
      activations: try fixture.encoder.activations(
        of: records.map { fixture.sequences[$0] }, below: layer))
  }

  static func trainer(_ fixture: Fixture, layers: [Int] = [2], seed: UInt64 = 9) throws
    -> BlockTrainer
  {
    let frozen = fixture.initial.adapters.filter { $0.layer == 3 && !layers.contains(3) }
    return try BlockTrainer(
      encoder: fixture.encoder, recipe: recipe, layers: layers, frozenAdapters: frozen, seed: seed)
  }

  static func order(_ segments: [TrainingSegment]) -> (Int) -> [RecordPosition] {
    { epoch in
      let positions = segments.indices.flatMap { segment in
        segments[segment].targets.indices.map { RecordPosition(segment: segment, index: $0) }
      }
      return Array(positions[epoch...] + positions[..<epoch])
    }
  }

  static func bits(_ block: TrainedBlock) -> [UInt8] {
    PEFTAdapter(
      rank: recipe.rank, alpha: recipe.alpha, rankStabilized: recipe.rankStabilized,
      adapters: block.adapters, head: block.head
    ).encode().tensors
      + block.losses.flatMap { loss in
        withUnsafeBytes(of: loss.bitPattern) { Array($0) }
      }
  }

  static let layerSets: [[Int]] = [[2], [1, 2], [0, 3], []]

  @Test("the same stage twice, with a cached and with a fresh prefix", arguments: layerSets)
  func repeats(layers: [Int]) throws {
    let fixture = try Fixture.tiny.get()
    var results: [[UInt8]] = []
    let first = try Self.trainer(fixture, layers: layers).lowestLayer
    let cached = try Self.parts(fixture).map { try Self.segment(fixture, $0, below: first) }
    for round in 0..<3 {
      let segments =
        round == 2
        ? try Self.parts(fixture).map { try Self.segment(fixture, $0, below: first) } : cached
      let block = try Self.trainer(fixture, layers: layers).train(
        on: segments, order: Self.order(segments), onStep: { _ in })
      #expect(block.losses.count == 12)
      #expect(block.losses[11] < block.losses[0])
      results.append(Self.bits(block))
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test("a segment's activations depend on nothing but the segment")
  func segmentsAreIndependent() throws {
    let fixture = try Fixture.tiny.get()
    let before = try Self.parts(fixture).map { try Self.segment(fixture, $0, below: 3) }
    let shorter = try Self.segment(fixture, [0, 2, 3], below: 3)
    let after = try Self.parts(fixture).map { try Self.segment(fixture, $0, below: 3) }
    for (left, right) in zip(before, after) {
      #expect(left.activations.hidden.array == right.activations.hidden.array)
    }
    #expect(shorter.activations.tokenCount == before[0].activations.tokenCount - 4)
  }

  @Test("a record's frozen activations are the same alone, in any company, and from any layer on")
  func company() throws {
    try Self.checkCompany(try Fixture.tiny.get().encoder)
  }

  @Test(
    "the same with the real MiniLM, whose records share products where that changes no bit",
    .enabled(
      if: ReferenceTests.hasMiniLM,
      "SKIPPED: no MiniLM; run ops/fetch-backbone or set LETHE_MINILM to its folder"))
  func companyOfMiniLM() throws {
    try Self.checkCompany(try Fixture("minilm", model: Fixture.miniLM).encoder)
  }

  private static func checkCompany(_ encoder: Encoder) throws {
    let texts = ServingTests.texts(encoder, count: 60, longest: 60)
    let layer = encoder.layerCount
    let lower = try encoder.activations(of: texts, below: 1)
    let together = try encoder.activations(of: texts, entering: [1, layer])
    #expect(together[0].hidden.array == lower.hidden.array)
    func check(_ places: [Int], above known: PrefixActivations?) throws {
      let some = try encoder.activations(
        of: places.map { texts[$0] }, entering: [layer], above: known,
        at: known == nil ? nil : places)[0]
      for (record, place) in places.enumerated() {
        try #require(
          rows(of: record, some) == rows(of: place, together[1]),
          "\(texts[place].count) tokens among \(places.count) records")
      }
    }
    for place in texts.indices { try check([place], above: place % 2 == 0 ? nil : lower) }
    for places in [[7, 3], [59, 0, 30], Array((0..<60).reversed()), Array(20..<43)] {
      try check(places, above: nil)
      try check(places, above: lower)
    }
  }

  private static func rows(of record: Int, _ activations: PrefixActivations) -> [UInt32] {
    let start = activations.starts[record] * activations.width
    return (0..<activations.length(record) * activations.width).map {
      activations.hidden.pointer[start + $0].bitPattern
    }
  }

  @Test("resuming from any step gives the bits of an unbroken run")
  func resumes() throws {
    let fixture = try Fixture.tiny.get()
    let segments = try Self.parts(fixture).map { try Self.segment(fixture, $0, below: 2) }
    var checkpoints: [TrainingCheckpoint] = []
    let trainer = try Self.trainer(fixture)
    let whole = try trainer.train(
      on: segments, order: Self.order(segments),
      onStep: { _ in checkpoints.append(trainer.checkpoint) })
    for checkpoint in checkpoints {
      // Another seed: a checkpoint leaves nothing to the start.
      let resumed = try Self.trainer(fixture, seed: 1)
      try resumed.restore(checkpoint)
      let block = try resumed.train(
        on: segments, order: Self.order(segments), onStep: { _ in })
      #expect(Self.bits(block) == Self.bits(whole))
    }
    #expect(throws: TrainingError.foreignCheckpoint) {
      try Self.trainer(fixture, layers: [1, 2]).restore(checkpoints[0])
    }
  }

  @Test("an interrupted run goes on in the same trainer")
  func interrupted() throws {
    struct Stop: Error {}
    let fixture = try Fixture.tiny.get()
    let segments = try Self.parts(fixture).map { try Self.segment(fixture, $0, below: 2) }
    let whole = try Self.trainer(fixture).train(
      on: segments, order: Self.order(segments), onStep: { _ in })
    let trainer = try Self.trainer(fixture)
    #expect(throws: Stop.self) {
      try trainer.train(
        on: segments, order: Self.order(segments),
        onStep: { progress throws(Stop) in
          #expect(progress.totalStepCount == 12)
          if progress.step == 4 { throw Stop() }
        })
    }
    let rest = try trainer.train(on: segments, order: Self.order(segments), onStep: { _ in })
    #expect(Self.bits(rest) == Self.bits(whole))
  }

  @Test("seeds change the start, and the start is uniform with B zero")
  func seeds() throws {
    let fixture = try Fixture.tiny.get()
    let first = try Self.trainer(fixture, seed: 1).current.adapters
    let second = try Self.trainer(fixture, seed: 2).current.adapters
    #expect(first == (try Self.trainer(fixture, seed: 1).current.adapters))
    #expect(first != second)
    for adapter in first {
      let bound = 1 / Float(adapter.inputCount).squareRoot()
      #expect(adapter.a.allSatisfy { abs($0) <= bound })
      #expect((adapter.a.map { abs($0) }.max() ?? 0) > 0.8 * bound)
      #expect(adapter.b.allSatisfy { $0 == 0 })
    }
  }

  @Test("a stage without records passes its start on")
  func noRecords() throws {
    let fixture = try Fixture.tiny.get()
    let empty = try Self.segment(fixture, [], below: 2)
    let block = try Self.trainer(fixture).train(
      on: [empty], order: { _ in [] }, onStep: { _ in })
    #expect(block.losses.isEmpty)
    #expect(block.adapters == (try Self.trainer(fixture).current.adapters))
    #expect(block.head == .zero(labelCount: 3, hiddenSize: 32))
  }
}
