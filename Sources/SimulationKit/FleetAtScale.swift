import CoordinatorCore
import Hashing
import Unlearning

/// A large fleet around the shipped coordinator alone: no wire, no disk, one event after the other.
///
/// It shows that decisions cost the same however many blocks there are, and that a fleet of
/// thousands comes to the blocks that one worker would.
package struct FleetAtScale {
  package struct Shape: Sendable {
    package var shards: Int
    package var slices: Int
    package var sequences: Int
    package var workers: Int

    package init(shards: Int, slices: Int, sequences: Int, workers: Int) {
      self.shards = shards
      self.slices = slices
      self.sequences = sequences
      self.workers = workers
    }

    package var blockCount: Int { shards * slices * sequences }
  }

  package private(set) var coordinator: Coordinator
  /// Blocks that have come to stand.
  package private(set) var committedCount = 0
  /// Workers that vanished and came again.
  package private(set) var lossCount = 0
  private let shape: Shape
  private var random: SeededGenerator
  private var now: Milliseconds = 0
  private var agenda = PriorityHeap<Due>()
  private var dueCount: UInt64 = 0
  private var lastWorker: UInt64 = 0

  /// What a worker will have done at a moment.
  private struct Due: Comparable {
    var at: Milliseconds
    var number: UInt64
    var worker: WorkerID
    var grant: LeaseGrant?

    static func == (left: Self, right: Self) -> Bool { left.number == right.number }

    static func < (left: Self, right: Self) -> Bool {
      (left.at, left.number) < (right.at, right.number)
    }
  }

  package init(_ shape: Shape, seed: UInt64) {
    self.shape = shape
    random = SeededGenerator(seed: seed)
    let run = RunDescription(
      name: "scale", shardCount: shape.shards, sliceCount: shape.slices,
      sequenceCount: shape.sequences, layerCount: shape.slices, stageData: .cumulative, seed: seed,
      partitionKey: Array(repeating: 1, count: 32), recipe: TrainingRecipe(labels: ["a", "b"]),
      backbone: SHA256.hash([1]), repairPolicy: .eager)
    // The shapes are constants of callers and within a plan's limits.
    var state = try! RunState(run)
    state.apply(.numericClassPinned(Scenario.numericClass))
    let table = try! TableMemory([], of: state.plan, binding: run.backbone).table()
    coordinator = Coordinator(state, records: try! RecordIndex(table, state))
    handle(.started)
    handle(.trainingRequested)
    for _ in 0..<shape.workers { join() }
  }

  package var isDone: Bool { committedCount == shape.blockCount }

  /// The time that has passed for the fleet.
  package var virtualSeconds: Double { Double(now) / 1000 }

  /// Goes on until so many more blocks stand, or all do.
  package mutating func advance(blocks: Int) {
    let goal = min(committedCount + blocks, shape.blockCount)
    while committedCount < goal, let due = agenda.removeFirst() {
      if due.at / 250 != now / 250 { handle(.ticked) }
      now = max(now, due.at)
      guard let grant = due.grant else { continue }
      if Int.random(in: 0..<500, using: &random) == 0 {
        lossCount += 1
        handle(.workerLeft(due.worker))
        join()
        continue
      }
      let key = grant.assignment.key
      handle(
        .uploaded(
          due.worker,
          Upload(
            epoch: grant.epoch, key: key, artifact: SHA256.hash(key.digest.bytes), byteCount: 1,
            work: TrainingWork(steps: 1, examples: 1, seconds: 1, gemmSeconds: 1, finalLoss: 1))))
      handle(.workRequested(due.worker))
    }
  }

  /// What status and predictions begin with; says how many blocks are trained.
  package mutating func report() -> Int {
    coordinator.refreshedReports().reduce(0) { $0 + $1.trainedCount }
  }

  private mutating func join() {
    lastWorker += 1
    let id = WorkerID(lastWorker)
    handle(
      .workerJoined(
        id,
        Introduction(
          name: "w\(lastWorker)", host: "host\(lastWorker % 97)",
          numericClass: Scenario.numericClass, backbone: SHA256.hash([1]), roles: [.train]),
        PeerProof(PeerIdentity([UInt8(lastWorker % 97)]))))
    handle(.workRequested(id))
  }

  private mutating func handle(_ event: Event) {
    let step = coordinator.handle(event, at: Moment(monotonic: now, wall: now))
    for entry in step.entries {
      if case .committed = entry { committedCount += 1 }
    }
    for case .grant(let id, let grant) in step.effects {
      dueCount += 1
      agenda.insert(
        Due(
          at: now + Milliseconds.random(in: 500...1_500, using: &random), number: dueCount,
          worker: id, grant: grant))
    }
  }
}
