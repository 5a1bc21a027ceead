import CoordinatorCore
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import Unlearning
import WireFormat

/// Many workers' connections in one thread, and how long each waited for its answers.
struct BenchmarkCrowd {
  /// One worker: it holds one lease at most, and waits for one answer at a time.
  private struct Worker {
    let socket: PolledSocket
    var end: WorkerEnd
    /// Bytes the kernel has not taken yet.
    var unsent: [UInt8] = []
    var isWelcome = false
    var askedAt = 0.0
    var uploadedAt: Double?
    var epoch: UInt64 = 0
    /// What it has to hand in, and slices of it whose records are still to be counted.
    var assignment: BlockAssignment?
    var uncounted: [SliceReference] = []
    var beatenAt: Double?
    var nextBeatAt = 0.0
  }

  private let address: NetworkAddress
  private let key: PeerKey
  private let backbone: BackboneFiles
  private var recipe: TrainingRecipe?
  /// How many records slices hold: the same for all, and most are empty.
  private var recordCounts = [LineageDigest.slice(recordDigests: []): 0]
  /// Heads of the blocks that were handed in, which stages without records hand on.
  private var heads: [Digest: [UInt8]] = [:]
  private var workers: [Worker] = []
  private var poll = PollSet()
  private var buffer = [UInt8](repeating: 0, count: 64 << 10)
  private(set) var cycleCount = 0
  private(set) var leaseSeconds: [Double] = []
  private(set) var uploadSeconds: [Double] = []
  private(set) var heartbeatSeconds: [Double] = []

  /// Workers that show their keys at the same time; the port has room for a few strangers only.
  private static let connectingCount = 16
  private static let beatSeconds = 5.0
  private static let patienceSeconds = 20.0

  init(address: NetworkAddress, key: PeerKey, backbone: BackboneFiles) {
    self.address = address
    self.key = key
    self.backbone = backbone
  }

  mutating func forgetMeasurements() {
    cycleCount = 0
    (leaseSeconds, uploadSeconds, heartbeatSeconds) = ([], [], [])
  }

  /// Adds workers until all are welcome; each asks for work at once.
  mutating func connect(_ count: Int) throws {
    _ = SystemProcess.raiseDescriptorLimit()
    for index in 0..<count {
      let introduction = Introduction(
        name: "bench-\(index)", host: "bench-\(index % 50)", numericClass: "bench",
        backbone: backbone.digest, roles: [.train])
      var worker = Worker(
        socket: try PolledSocket.connect(to: address),
        end: WorkerEnd(
          key: key, introduction: introduction,
          nonce: SystemRandom.bytes(count: Handshake.nonceByteCount)))
      worker.unsent = worker.end.begin()
      workers.append(worker)
      poll.append(worker.socket)
      try flush(index)
      if (index + 1).isMultiple(of: Self.connectingCount) || index + 1 == count {
        let deadline = SystemClock.seconds + Self.patienceSeconds
        while !workers.allSatisfy(\.isWelcome) {
          guard SystemClock.seconds < deadline else {
            throw ServiceError(.unavailable, "the coordinator does not welcome worker \(index)")
          }
          try turn()
        }
      }
    }
  }

  mutating func work(seconds: Double) throws {
    let end = SystemClock.seconds + seconds
    while SystemClock.seconds < end { try turn() }
  }

  private mutating func turn() throws {
    poll.wait(milliseconds: 100)
    let now = SystemClock.seconds
    for index in workers.indices {
      if poll.isReady(index) {
        if poll.canWrite(index) { try flush(index) }
        try read(index, at: now)
      }
      if workers[index].isWelcome, workers[index].nextBeatAt <= now {
        // Spread over the time between two, as a real fleet's are.
        workers[index].nextBeatAt = now + Self.beatSeconds * (0.8 + 0.4 * Double(index % 10) / 10)
        workers[index].beatenAt = now
        say(
          .heartbeat(
            epoch: workers[index].epoch, StageProgress(step: 1, totalSteps: 2)), index)
        try flush(index)
      }
    }
  }

  private mutating func read(_ index: Int, at now: Double) throws {
    switch workers[index].socket.receive(into: &buffer) {
    case .nothing: return
    case .end: throw ServiceError(.unavailable, "the coordinator has closed a connection")
    case .bytes(let count):
      for action in workers[index].end.receive(Array(buffer[..<count])) {
        switch action {
        case .write(let bytes): workers[index].unsent += bytes
        case .message(let message, _): try hear(message, index, at: now)
        case .close(let reason): throw ServiceError(.unavailable, reason)
        }
      }
      try flush(index)
    }
  }

  private mutating func hear(_ message: WireMessage, _ index: Int, at now: Double) throws {
    switch message {
    case .welcome(let recipe, _):
      self.recipe = recipe
      workers[index].isWelcome = true
      workers[index].nextBeatAt = now + Self.beatSeconds * Double(index % 100) / 100
      ask(index, at: now)
    case .lease(let grant):
      leaseSeconds.append(now - workers[index].askedAt)
      workers[index].epoch = grant.epoch
      workers[index].assignment = grant.assignment
      workers[index].uncounted = grant.assignment.slices.filter { recordCounts[$0.digest] == nil }
      countOrUpload(index, at: now)
    case .slice(let records):
      if let slice = workers[index].uncounted.popLast() {
        recordCounts[slice.digest] = records.count
      }
      countOrUpload(index, at: now)
    case .uploadAccepted:
      uploadSeconds.append(now - (workers[index].uploadedAt ?? now))
      cycleCount += 1
      workers[index].epoch = 0
      ask(index, at: now)
    case .heard:
      if let beatenAt = workers[index].beatenAt { heartbeatSeconds.append(now - beatenAt) }
      workers[index].beatenAt = nil
    case .uploadRefused(_, let refusal):
      throw ServiceError(.failure, "an upload was refused: \(refusal)")
    default: break
    }
  }

  private mutating func ask(_ index: Int, at now: Double) {
    workers[index].askedAt = now
    say(.requestWork, index)
  }

  private mutating func say(_ message: WireMessage, _ index: Int, request: UInt64 = 0) {
    for frame in workers[index].end.send(message, request: request) {
      workers[index].unsent += frame
    }
  }

  private mutating func flush(_ index: Int) throws {
    var sent = 0
    while sent < workers[index].unsent.count {
      guard let count = workers[index].socket.send(workers[index].unsent, from: sent) else {
        throw ServiceError(.unavailable, "the coordinator has closed a connection")
      }
      if count == 0 { break }
      sent += count
    }
    workers[index].unsent.removeFirst(sent)
    poll.setInterest(index, reading: true, writing: !workers[index].unsent.isEmpty)
  }

  /// Hands in a block that passes for a trained one, once it is known how many records the stage
  /// reads: the coordinator takes nothing else.
  private mutating func countOrUpload(_ index: Int, at now: Double) {
    guard let assignment = workers[index].assignment, let recipe else { return }
    if let slice = workers[index].uncounted.last {
      return say(.fetchSlice(slice), index, request: 1)
    }
    let recordCount = assignment.slices.reduce(0) { $0 + (recordCounts[$1.digest] ?? 0) }
    let form = BlockForm(recipe, backbone.configuration)
    let artifact =
      recordCount > 0
      ? form.madeUp(layers: assignment.layers, seed: assignment.key.digest.bytes)
      : form.handedOn(parent: assignment.ancestors.last.flatMap { heads[$0] })
    heads[SHA256.hash(artifact)] = Array(artifact.suffix(form.headByteCount))
    workers[index].assignment = nil
    workers[index].uploadedAt = now
    say(
      .upload(
        epoch: workers[index].epoch, assignment.key,
        TrainingWork(
          steps: UInt64(recipe.stepCount(recordCount: recordCount)),
          examples: UInt64(recipe.exampleCount(recordCount: recordCount)), seconds: 1,
          gemmSeconds: 1, finalLoss: 0), artifact: artifact), index)
  }
}
