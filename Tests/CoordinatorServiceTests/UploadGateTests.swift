import CoordinatorCore
import CoordinatorService
import Hashing
import ModelFormats
import Testing
import Unlearning
import WireFormat

/// The gate between wire and core as a function of values alone.
@Suite("The gate") struct UploadGateTests {
  private static let description = RunDescription(
    name: "gate", shardCount: 2, sliceCount: 2, sequenceCount: 1, layerCount: 4,
    stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
    recipe: TrainingRecipe(labels: ["a", "b"], rank: 2, epochs: 2, batchSize: 4),
    backbone: SHA256.hash([1]), repairPolicy: .eager)

  /// Shard 0 has records, shard 1 has none.
  private static let state = makeState()

  private static func makeState() -> RunState {
    var state = try! RunState(description)
    state.apply(
      .ingested(
        (0..<2).map {
          SliceSummary(
            location: SliceLocation(shard: 0, slice: $0),
            contents: SliceState(recordCount: 3, digest: SHA256.hash([UInt8($0)])))
        }))
    state.apply(.numericClassPinned("c"))
    state.refreshKeys()
    return state
  }

  private static let gate = UploadGate(
    description, state.plan,
    EncoderConfiguration(
      layerCount: 4, hiddenSize: 8, headCount: 1, intermediateSize: 16, vocabularySize: 9,
      positionCount: 9))

  private func demand(_ shard: Int, _ stage: Int) throws -> BlockDemand {
    try #require(Self.state.demand(of: BlockSlot(shard: shard, sequence: 0, stage: stage)))
  }

  private func work(_ demand: BlockDemand) -> TrainingWork {
    TrainingWork(
      steps: demand.stepCount, examples: demand.exampleCount, seconds: 1, gemmSeconds: 1,
      finalLoss: 1)
  }

  @Test("a slot's own block passes, and every other slot's does not")
  func slots() throws {
    for stage in 1...2 {
      let demand = try demand(0, stage)
      let own = Self.gate.form.madeUp(layers: demand.layers, seed: [1, 2, 3])
      try Self.gate.check(own, work(demand), demand, parent: nil)
      let other = try self.demand(0, 3 - stage)
      #expect(throws: UploadGate.Problem.self) {
        try Self.gate.check(own, self.work(other), other, parent: nil)
      }
      var claimed = work(demand)
      claimed.examples = .max
      #expect(
        throws: UploadGate.Problem.figures(
          .examples(.max, expected: demand.exampleCount))
      ) { try Self.gate.check(own, claimed, demand, parent: nil) }
    }
  }

  @Test("a stage without records must hand on its parent's head and claim no work")
  func empty() throws {
    let (first, second) = (try demand(1, 1), try demand(1, 2))
    #expect(first.isEmpty && first.layers.isEmpty && first.stepCount == 0)
    let zero = Self.gate.form.handedOn(parent: nil)
    try Self.gate.check(zero, work(first), first, parent: nil)
    let trained = Self.gate.form.madeUp(layers: 2..<4, seed: [9])
    try Self.gate.check(
      Self.gate.form.handedOn(parent: trained), work(second), second, parent: trained)
    #expect(throws: UploadGate.Problem.artifact(.otherHead)) {
      try Self.gate.check(zero, self.work(second), second, parent: trained)
    }
    var claimed = work(first)
    claimed.steps = 1
    #expect(throws: UploadGate.Problem.figures(.steps(1, expected: 0))) {
      try Self.gate.check(zero, claimed, first, parent: nil)
    }
  }

  @Test("the plan bounds what may be announced")
  func limits() throws {
    let limits = Self.gate.limits(recordCount: 6)
    let longest = try (1...2).map {
      Self.gate.form.byteCount(layers: try demand(0, $0).layers)
    }.max()
    #expect(limits.uploadByteCount == longest)
    #expect(limits.checkpointByteCount > 3 * limits.uploadByteCount)
    #expect(limits.checkpointByteCount < 1 << 20)
    #expect(Self.gate.limits(recordCount: .max).checkpointByteCount < 1 << 30)
  }

  struct Answer: Sendable, CustomTestStringConvertible {
    var rows: [[Double]]
    var problem: AnswerProblem?
    var because: String
    var testDescription: String { because }
  }

  static let answers = [
    Answer(rows: [[1, 2], [3, 4]], because: "one number a label, for every text"),
    Answer(rows: [[-1e300, 1e300], [0, -0.0]], because: "any finite number"),
    Answer(rows: [], problem: .count(0, expected: 2), because: "nothing"),
    Answer(rows: [[1, 2]], problem: .count(1, expected: 2), because: "a text left out"),
    Answer(
      rows: [[1, 2], [3, 4], [5, 6]], problem: .count(3, expected: 2), because: "a text too many"),
    Answer(rows: [[1, 2], [3]], problem: .scores(1, expected: 2), because: "a number too few"),
    Answer(
      rows: [[1, 2, 3], [3, 4]], problem: .scores(3, expected: 2), because: "a number too many"),
    Answer(rows: [[], []], problem: .scores(0, expected: 2), because: "no numbers"),
    Answer(rows: [[1, .nan], [3, 4]], problem: .notFinite, because: "NaN"),
    Answer(rows: [[1, 2], [.infinity, 4]], problem: .notFinite, because: "infinity"),
    Answer(rows: [[1, 2], [3, -.infinity]], problem: .notFinite, because: "minus infinity"),
  ]

  @Test("an answer is one finite number for every label of every text", arguments: answers)
  func finite(_ row: Answer) {
    var found: AnswerProblem?
    do throws(AnswerProblem) {
      try row.rows.map { ShardedPrediction(logits: $0) }.check(textCount: 2, labelCount: 2)
    } catch {
      found = error
    }
    #expect(found == row.problem)
  }

  @Test("a key is turned out at the third refusal, others are not, and checkpoints do not count")
  func turnedOut() throws {
    var misconduct = Misconduct()
    let bad = try #require(KeyID(Array(repeating: 1, count: 16)))
    let good = try #require(KeyID(Array(repeating: 2, count: 16)))
    var isOut: [Bool] = []
    for _ in 0..<9 { isOut.append(misconduct.note(.checkpoint, of: bad, named: "bad", "c")) }
    isOut.append(misconduct.note(.artifact, of: bad, named: "bad", "x"))
    isOut.append(misconduct.note(.answer, of: bad, named: "bad", "y"))
    isOut.append(misconduct.note(.figures, of: good, named: "good", "z"))
    #expect(!isOut.contains(true))
    #expect(misconduct.reason(against: bad) == nil && misconduct.alarms.count == 2)
    let third = misconduct.note(.figures, of: bad, named: "bad", "the third")
    let fourth = misconduct.note(.figures, of: bad, named: "bad", "once")
    #expect(third && !fourth, "it is told once")
    #expect(misconduct.reason(against: bad)?.contains("the third") == false)
    #expect(misconduct.reason(against: bad)?.contains("once") == true)
    #expect(misconduct.reason(against: good) == nil)
    #expect(misconduct.namesTurnedOut == ["bad"])
    #expect(misconduct.counts == [.checkpoint: 9, .artifact: 1, .answer: 1, .figures: 3])
  }
}
