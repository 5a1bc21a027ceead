import CoordinatorCore
import Hashing
import Unlearning

/// How deep an ensemble serves while deletions come in and a fleet repairs: the shipped coordinator
/// in virtual time, with workers that take as long as they are said to.
///
/// Everything is trained at the beginning. Deletions then come at random, each of one record drawn
/// from all that are left; scheduling and repair policy are the product's own code.
package struct CapacityForecast {
  package struct Settings: Sendable {
    package var shardCount: Int
    package var sliceCount: Int
    package var sequenceCount: Int
    package var stageData: StageData
    package var policy: RepairPolicy
    package var workerCount: Int
    package var deletionsPerHour: Double
    /// What training on one slice takes a worker, all epochs; stage i reads up to i slices.
    package var secondsPerSlice: Double
    package var hours: Double
    package var seed: UInt64

    package init(
      shardCount: Int, sliceCount: Int, sequenceCount: Int, stageData: StageData,
      policy: RepairPolicy, workerCount: Int, deletionsPerHour: Double, secondsPerSlice: Double,
      hours: Double, seed: UInt64
    ) {
      self.shardCount = shardCount
      self.sliceCount = sliceCount
      self.sequenceCount = sequenceCount
      self.stageData = stageData
      self.policy = policy
      self.workerCount = workerCount
      self.deletionsPerHour = deletionsPerHour
      self.secondsPerSlice = secondsPerSlice
      self.hours = hours
      self.seed = seed
    }

    /// Deletions that a forecast may come to.
    package static let deletionLimit = 200_000.0
  }

  package struct Sample: Equatable, Sendable {
    package var hour: Double
    /// Blocks served, on average over shards.
    package var meanDepth: Double
    package var lowestDepth: Int
    /// Blocks without which some shard is less deep than it was, and how many of them are in
    /// training.
    package var masked: Int
    package var training: Int
  }

  package struct Result: Equatable, Sendable {
    package var samples: [Sample]
    /// Element d: share of time and shards with at least d blocks served.
    package var shareAtLeast: [Double]
    /// Of the workers' time, what they trained for.
    package var utilization: Double
    package var deletionCount: Int
    /// Deletions whose blocks all stood again in the end.
    package var repairedCount: Int
    /// Seconds from a deletion to that, ascending.
    package var repairSeconds: [Double]
  }

  private static let sampleCount = 100
  /// Looks at depth, between which it is not known.
  private static let lookCount = 2_000
  /// Leases are renewed that often.
  private static let tickInterval: Milliseconds = 5_000

  /// What happens at a moment.
  private struct Due: Comparable {
    var at: Milliseconds
    var number: UInt64
    var worker: WorkerID
    var grant: LeaseGrant

    static func == (left: Self, right: Self) -> Bool { left.number == right.number }

    static func < (left: Self, right: Self) -> Bool {
      (left.at, left.number) < (right.at, right.number)
    }
  }

  private let settings: Settings
  private var coordinator: Coordinator
  private let memory: TableMemory
  private var random: SeededGenerator
  private var now: Milliseconds = 0
  private var agenda = PriorityHeap<Due>()
  private var dueCount: UInt64 = 0
  /// Leases that have not been cancelled, by worker.
  private var working: [WorkerID: (epoch: UInt64, since: Milliseconds)] = [:]
  private var busyMilliseconds: Milliseconds = 0
  private var live: [RecordTag]

  /// - Throws: `PlanError` for a shape that no run has.
  package init(_ settings: Settings) throws(PlanError) {
    self.settings = settings
    random = SeededGenerator(seed: settings.seed)
    let run = RunDescription(
      name: "forecast", shardCount: settings.shardCount, sliceCount: settings.sliceCount,
      sequenceCount: settings.sequenceCount, layerCount: settings.sliceCount,
      stageData: settings.stageData, seed: settings.seed,
      partitionKey: Array(repeating: 1, count: 32), recipe: TrainingRecipe(labels: ["a", "b"]),
      backbone: SHA256.hash([1]), repairPolicy: settings.policy)
    var state = try RunState(run)
    let parts = Double(settings.shardCount * settings.sliceCount)
    // So many that none is ever nearly empty.
    let recordCount = 20 + Int(2 * settings.deletionsPerHour * settings.hours / parts)
    var number: UInt64 = 0
    let slices = state.locations.map { location in
      IngestedSlice(
        location: location,
        records: (0..<recordCount).map { _ in
          number += 1
          let digest = withUnsafeBytes(of: number.littleEndian) { SHA256.hash($0) }
          return IngestedRecord(
            tag: RecordTag(digest), digest: digest, payload: LookupTag(number << 32))
        })
    }
    live = slices.flatMap { $0.records.map(\.tag) }
    state.apply(.ingested(slices.map(\.summary)))
    memory = TableMemory(slices, of: state.plan, binding: run.backbone)
    // The table was made from these very slices a line above.
    coordinator = Coordinator(state, records: try! RecordIndex(try! memory.table(), state))
    handle(.started)
    handle(.trainingRequested)
    for number in 1...UInt64(settings.workerCount) {
      handle(
        .workerJoined(
          WorkerID(number),
          Introduction(
            name: "w\(number)", host: "h\(number)", numericClass: "forecast",
            backbone: run.backbone, roles: [.train]),
          PeerProof(PeerIdentity((0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }))))
      handle(.workRequested(WorkerID(number)))
    }
    // The first training takes no time.
    while let due = agenda.removeFirst() { finish(due) }
    busyMilliseconds = 0
  }

  /// Lets the time pass.
  package mutating func run() -> Result {
    let end = Milliseconds(settings.hours * 3_600_000)
    var arrival = nextArrival(after: 0)
    var (tick, look, lookNumber) = (Self.tickInterval, Milliseconds(0), 0)
    var samples: [Sample] = []
    var reached = [Int](repeating: 0, count: settings.sliceCount + 1)
    while true {
      let next = min(agenda.first?.at ?? .max, arrival, tick, look)
      guard next <= end else { break }
      now = max(now, next)
      if look == next {
        let depths = coordinator.refreshedReports().map { $0.served?.depth ?? 0 }
        for depth in depths { for level in 0...depth { reached[level] += 1 } }
        if lookNumber % (Self.lookCount / Self.sampleCount) == 0 {
          samples.append(
            Sample(
              hour: Double(now) / 3_600_000,
              meanDepth: Double(depths.reduce(0, +)) / Double(depths.count),
              lowestDepth: depths.min() ?? 0, masked: coordinator.state.maskedSince.count,
              training: coordinator.leases.count))
        }
        lookNumber += 1
        look = end * Milliseconds(lookNumber) / Milliseconds(Self.lookCount)
        if lookNumber > Self.lookCount { look = .max }
      } else if arrival == next {
        delete()
        arrival = nextArrival(after: now)
      } else if let due = agenda.first, due.at == next {
        _ = agenda.removeFirst()
        finish(due)
      } else {
        renewLeases()
        handle(.ticked)
        tick += Self.tickInterval
      }
    }
    for work in working.values { busyMilliseconds += now - work.since }
    let deletions = coordinator.state.deletions
    let looks = Double(lookNumber * settings.shardCount)
    let capacity = Double(settings.workerCount) * Double(max(end, 1))
    return Result(
      samples: samples, shareAtLeast: reached.map { Double($0) / looks },
      utilization: Double(busyMilliseconds) / capacity, deletionCount: deletions.count,
      repairedCount: deletions.count { $0.repairedAt != nil },
      repairSeconds: deletions.compactMap { deletion in
        deletion.repairedAt.map { Double($0 - deletion.acceptedAt) / 1_000 }
      }.sorted())
  }

  // MARK: - Events

  private mutating func nextArrival(after time: Milliseconds) -> Milliseconds {
    guard settings.deletionsPerHour > 0 else { return .max }
    return time + max(1, Milliseconds(exponential() * 3_600_000 / settings.deletionsPerHour))
  }

  /// An exponential time of mean one, by comparing uniform numbers alone (von Neumann 1951).
  private mutating func exponential() -> Double {
    var whole = 0.0
    while true {
      let first = uniform()
      var (last, count) = (first, 1)
      while true {
        let next = uniform()
        if next >= last { break }
        last = next
        count += 1
      }
      if count % 2 == 1 { return whole + first }
      whole += 1
    }
  }

  private mutating func uniform() -> Double { Double(random.next() >> 11) * 0x1p-53 }

  private mutating func delete() {
    guard !live.isEmpty else { return }
    let place = Int(random.next() % UInt64(live.count))
    let tag = live[place]
    live.swapAt(place, live.count - 1)
    live.removeLast()
    handle(
      .deletionRequested(
        token: 0,
        DeletionWish(
          tags: [tag], commitments: [tag.digest], salt: tag.digest, due: .max)))
  }

  private mutating func finish(_ due: Due) {
    guard let work = working[due.worker], work.epoch == due.grant.epoch else { return }
    busyMilliseconds += now - work.since
    working[due.worker] = nil
    let key = due.grant.assignment.key
    handle(
      .uploaded(
        due.worker,
        Upload(
          epoch: due.grant.epoch, key: key, artifact: SHA256.hash(key.digest.bytes), byteCount: 1,
          work: TrainingWork(steps: 1, examples: 1, seconds: 1, gemmSeconds: 1, finalLoss: 1))))
    handle(.workRequested(due.worker))
  }

  private mutating func renewLeases() {
    for (worker, work) in working.sorted(by: { $0.key < $1.key }) {
      // A step a second: whoever works gets further.
      let step = UInt32(clamping: (now - work.since) / 1_000)
      handle(.heartbeat(worker, epoch: work.epoch, StageProgress(step: step, totalSteps: .max)))
    }
  }

  private mutating func handle(_ event: Event) {
    let step = coordinator.handle(event, at: Moment(monotonic: now, wall: now))
    for effect in step.effects {
      switch effect {
      case .grant(let id, let grant):
        working[id] = (grant.epoch, now)
        dueCount += 1
        let seconds = Double(grant.assignment.slices.count) * settings.secondsPerSlice
        agenda.insert(
          Due(at: now + Milliseconds(1_000 * seconds), number: dueCount, worker: id, grant: grant))
      case .cancel(let id, let epoch):
        guard let work = working[id], work.epoch == epoch else { continue }
        busyMilliseconds += now - work.since
        working[id] = nil
        handle(.workRequested(id))
      case .purge(let order):
        memory.erase(order.rows, of: coordinator.records.table)
        handle(.purgeFinished(throughDeletion: order.throughDeletion))
      case .forget(let id, let number, _):
        handle(.purgeConfirmed(id, throughDeletion: number))
      default: continue
      }
    }
  }
}
