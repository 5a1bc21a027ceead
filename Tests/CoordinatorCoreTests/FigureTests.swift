import CoordinatorCore
import Hashing
import Testing
import Unlearning

/// What a worker says training took, held against what it must have taken.
@Suite("Figures of a block") struct FigureTests {
  static let demand: BlockDemand = {
    let run = RunDescription(
      name: "figures", shardCount: 1, sliceCount: 2, sequenceCount: 1, layerCount: 4,
      stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
      recipe: TrainingRecipe(labels: ["a", "b"], epochs: 3, batchSize: 4),
      backbone: SHA256.hash([1]), repairPolicy: .eager)
    var state = try! RunState(run)
    state.apply(
      .ingested(
        (0..<2).map {
          SliceSummary(
            location: SliceLocation(shard: 0, slice: $0),
            contents: SliceState(recordCount: 5, digest: SHA256.hash([UInt8($0)])))
        }))
    state.apply(.numericClassPinned("c"))
    state.refreshKeys()
    return state.demand(of: BlockSlot(shard: 0, sequence: 0, stage: 2))!
  }()

  static let right = TrainingWork(
    steps: 9, examples: 30, seconds: 1, gemmSeconds: 0.5, finalLoss: 0.25, slicesKept: 1,
    slicesComputed: 1)

  struct Row: Sendable, CustomTestStringConvertible {
    var because: String
    var change: @Sendable (inout TrainingWork) -> Void
    var testDescription: String { because }
  }

  static let bad: [Row] =
    [UInt64.max, 0, 8, 10, 1 << 63].flatMap { number in
      [
        Row(because: "\(number) steps") { $0.steps = number },
        Row(because: "\(number) examples") { $0.examples = number },
      ]
    }
    + [Double.infinity, -.infinity, .nan, .signalingNaN, -1, 1e10, .greatestFiniteMagnitude]
    .flatMap { number in
      [
        Row(because: "\(number) seconds") { $0.seconds = number },
        Row(because: "\(number) seconds in products") { $0.gemmSeconds = number },
      ]
    }
    + [Double.infinity, -.infinity, .nan, -0.5, 1e300].map { number in
      Row(because: "a loss of \(number)") { $0.finalLoss = number }
    }
    + [
      Row(because: "slices kept at the limit") { $0.slicesKept = .max },
      Row(because: "slices computed at the limit") { $0.slicesComputed = .max },
      Row(because: "both at the limit") { ($0.slicesKept, $0.slicesComputed) = (.max, .max) },
      Row(because: "a slice too many") { $0.slicesKept = 2 },
    ]

  @Test("the plan's own figures are taken, at the ends of their ranges too")
  func right() throws {
    #expect(Self.demand.stepCount == 9 && Self.demand.exampleCount == 30)
    try Self.right.check(Self.demand)
    var work = Self.right
    (work.seconds, work.gemmSeconds, work.finalLoss) = (1e9, 0, TrainingWork.largestLoss)
    (work.slicesKept, work.slicesComputed) = (0, 0)
    try work.check(Self.demand)
    #expect(work.bounded == work)
  }

  @Test("any other is refused, and reads as none where it was journalled", arguments: bad)
  func refused(_ row: Row) throws {
    var work = Self.right
    row.change(&work)
    #expect(throws: FigureProblem.self) { try work.check(Self.demand) }
    let bounded = work.bounded
    #expect(bounded.steps <= TrainingWork.largestCount)
    #expect(bounded.examples <= TrainingWork.largestCount)
    for value in [bounded.seconds, bounded.gemmSeconds] { #expect((0...1e9).contains(value)) }
    #expect((0...TrainingWork.largestLoss).contains(bounded.finalLoss))
    #expect(bounded.examplesPerSecond.isFinite && bounded.gemmShare.isFinite)
  }

  @Test("a journal with any figures opens, keeps its bytes, and is reported without a trap")
  func journalled() throws {
    var work = Self.right
    (work.steps, work.examples, work.seconds) = (.max, .max, .infinity)
    (work.gemmSeconds, work.finalLoss) = (.nan, .nan)
    (work.slicesKept, work.slicesComputed) = (.max, .max)
    let run = RunDescription(
      name: "figures", shardCount: 3, sliceCount: 1, sequenceCount: 1, layerCount: 4,
      stageData: .cumulative, seed: 1, partitionKey: Array(repeating: 1, count: 32),
      recipe: TrainingRecipe(labels: ["a", "b"]), backbone: SHA256.hash([1]),
      repairPolicy: .eager)
    var state = try RunState(run)
    state.apply(.numericClassPinned("c"))
    state.refreshKeys()
    for shard in 0..<3 {
      let slot = BlockSlot(shard: shard, sequence: 0, stage: 1)
      let entry = JournalEntry.committed(
        CommittedBlock(
          key: try #require(state.expectedKeys[slot]), slot: slot,
          artifact: SHA256.hash([UInt8(shard)]), byteCount: .max, worker: "w", work: work, at: 1))
      let read = try JournalEntry(encoded: entry.encoded)
      #expect(read.encoded == entry.encoded)
      state.apply(read)
    }
    #expect(try RunState(encoded: state.encoded).encoded == state.encoded)
    let shown = state.blocks.values.map(\.work)
    #expect(shown.count == 3 && shown.allSatisfy { $0.examples == 0 && $0.seconds == 0 })
    let table = try TableMemory([], of: state.plan, binding: run.backbone).table()
    var coordinator = Coordinator(state, records: try RecordIndex(table, state))
    let reports = coordinator.refreshedReports()
    var sum = StageWork()
    for report in reports { sum.add(report.work[0]) }
    #expect(sum.blockCount == 3 && sum.examples == 0 && sum.seconds == 0)
    #expect(sum.gemmSeconds == 0 && sum.slicesKept > 0)
    #expect(reports.allSatisfy { $0.artifactByteCount == .max })
    #expect(UInt64.max.addingOrLargest(1) == .max && UInt64(2).addingOrLargest(3) == 5)
  }
}
