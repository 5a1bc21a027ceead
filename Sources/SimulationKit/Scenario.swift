import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// What a seed decides before anything happens: the shape of the run and the kind of trouble.
package struct Scenario: Sendable {
  struct Worker: Sendable {
    var name: String
    var host: String
    var roles: Set<WorkerRole>
    /// Bits of another class: it must get no training.
    var numericClass: String
    /// Virtual milliseconds for a step.
    var stepTime: Milliseconds
    var character: Character

    enum Character: Sendable {
      case honest
      /// Sends stale, foreign, repeated and malformed results.
      case protocolLiar
      /// Sends well-formed blocks with wrong bits.
      case bitLiar
      /// Shows a ledger head that nobody gave out.
      case headLiar
      /// Is of another class each time it connects.
      case classLiar
      /// Fails every lease at once, for all, under ever other names.
      case failer
      /// Renews its leases for ever after the first step.
      case idler
      /// Asks for slices that no lease of its own reads.
      case peeker
      /// Works, and never says that it has forgotten.
      case mute
    }
  }

  let seed: UInt64
  let run: RunDescription
  let plan: RunPlan
  let records: [SimulatedRecord]
  let tags: [RecordID: RecordTag]
  let workers: [Worker]
  let auditShare: Double
  /// Whether an operator has pinned the class, as older runs had it pinned by whoever came first.
  let isClassPinned: Bool
  let calmAfter: Milliseconds
  let deadline: Milliseconds
  static let numericClass = "simulated class"

  init(seed: UInt64, _ random: inout SeededGenerator) {
    self.seed = seed
    func pick<Value>(_ values: [Value]) -> Value {
      values[Int.random(in: values.indices, using: &random)]
    }
    let sliceCount = pick([1, 2, 3, 4])
    run = RunDescription(
      name: "simulation", shardCount: pick([1, 2, 3]), sliceCount: sliceCount,
      sequenceCount: Int.random(in: 1...sliceCount, using: &random), layerCount: 4,
      stageData: pick([.cumulative, .cumulative, .disjoint]), seed: seed,
      partitionKey: Array(repeating: 3, count: 32),
      recipe: TrainingRecipe(labels: ["a", "b"]), backbone: SHA256.hash(Array("backbone".utf8)),
      repairPolicy: pick([
        .eager, .batched(quiet: 5_000, maximumAge: 60_000), .depthBelow(sliceCount), .manual,
      ]))
    plan = try! run.plan()
    let partition = Partition(key: run.partitionKey, plan: plan)
    records = (0..<Int.random(in: 0...40, using: &random)).map {
      SimulatedRecord(number: $0, in: partition)
    }
    tags = Dictionary(uniqueKeysWithValues: records.map { ($0.record.id, $0.tag) })
    // Lies of one kind at a time, so that each has its invariant.
    let lies: Worker.Character = pick([
      .honest, .honest, .honest, .protocolLiar, .bitLiar, .headLiar, .classLiar, .failer, .idler,
      .peeker, .mute,
    ])
    auditShare = lies == .bitLiar ? 1 : pick([0, 0, 0.5])
    let isClassPinned = pick([true, false])
    self.isClassPinned = isClassPinned
    let count = Int.random(in: 2...5, using: &random)
    workers = (0..<count).map { index in
      Worker(
        name: "w\(index)", host: "host\(index % 3)",
        // The first two can do everything, so that the run can always end.
        roles: index < 2 ? [.train, .serve] : pick([[.train, .serve], [.train], [.serve]]),
        // Only where none of them could be the first to have a block, and decide otherwise.
        numericClass: index > 2 && Int.random(in: 0..<4, using: &random) == 0 && isClassPinned
          ? "another class" : Scenario.numericClass,
        stepTime: index == 1
          ? pick([200, 200, 5_000]) : Milliseconds.random(in: 50...600, using: &random),
        character: index == 2 ? lies : .honest)
    }
    calmAfter = Milliseconds.random(in: 30_000...420_000, using: &random)
    deadline = calmAfter + 4 * 3_600_000
  }
}
