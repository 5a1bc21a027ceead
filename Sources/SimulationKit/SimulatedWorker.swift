import CoordinatorCore
import Hashing
import Unlearning
import WireFormat
import WorkerCore

/// A worker process in virtual time: the shipped conversation and its end of the wire, with
/// training and answering as chains of hashes.
final class SimulatedWorker {
  weak var world: Simulation!
  let index: Int
  private let character: Scenario.Worker
  private(set) var key: PeerKey
  private var keyCount = 0

  var connection: SimulatedNetwork.Connection?
  private var machine: WorkerMachine?
  private var training: Training?
  private var answering: AnswerTask?
  /// Outlives sessions, as it does in the real process.
  private var head: AttestedHead?
  /// Slices that a peeker would like to see.
  private var peeked: [SliceLocation] = []
  /// This session's class is an invented one: a block of it would be the first, and pin it.
  private var hasLiedAboutClass = false
  /// Counts processes and sessions; what an earlier one had planned does not happen.
  private var life = 0
  private var isRunning = false
  private var pausedUntil: Milliseconds = 0
  /// What came while the process was stopped, in order.
  private var postponed: [() throws -> Void] = []
  private var backoff: Milliseconds = 200

  private struct Training {
    var task: TrainingTask
    var chain: SimulatedTraining
    var isStopped = false
    var wantsCheckpoint = false
  }

  init(index: Int, _ character: Scenario.Worker) {
    self.index = index
    self.character = character
    key = Self.key(index, 0)
  }

  private static func key(_ index: Int, _ count: Int) -> PeerKey {
    let seed = SHA256.hash(Array("key \(index) \(count)".utf8)).bytes
    return PeerKey(
      id: KeyID(Array(seed.prefix(16)))!, role: .worker, name: "w\(index)", secret: seed)!
  }

  func renewKey() {
    keyCount += 1
    key = Self.key(index, keyCount)
  }

  // MARK: - Life

  func start(after delay: Milliseconds) {
    world.after(delay) { [unowned self] in
      isRunning = true
      connect()
    }
  }

  /// From now on it tells the truth, from a new session on.
  func repent() { if hasLiedAboutClass { crash() } }

  private func connect() {
    guard isRunning, connection == nil else { return }
    world.network.connect(self)
  }

  func connected(_ connection: SimulatedNetwork.Connection) {
    var introduction = Introduction(
      name: character.name, host: character.host, numericClass: character.numericClass,
      backbone: world.scenario.run.backbone, roles: character.roles, head: head)
    lie(about: &introduction)
    var end = WorkerEnd(key: key, introduction: introduction, nonce: world.bytes(32))
    let opening = end.begin()
    connection.workerEnd = end
    machine = WorkerMachine(roles: character.roles, at: world.now)
    world.network.send(opening, over: connection, toCoordinator: true)
    tick()
  }

  private func tick() {
    let life = life
    world.after(1_000) { [unowned self] in
      guard life == self.life else { return }
      whenAwake { [unowned self] in
        guard life == self.life else { return }
        handle(.ticked)
        if connection?.workerEnd?.isOpen == true { peek() }
      }
      tick()
    }
  }

  func crash() {
    guard isRunning else { return }
    world.count("worker crash")
    world.note("worker \(index) crashes")
    endProcess()
    start(after: world.chance(100...30_000))
  }

  private func endProcess() {
    isRunning = false
    postponed = []
    pausedUntil = 0
    // What the process remembers goes with it.
    head = nil
    if let connection { world.network.breakOff(connection) }
    endSession()
  }

  private func endSession() {
    life += 1
    (connection, machine, training, answering) = (nil, nil, nil, nil)
  }

  func lost(_ connection: SimulatedNetwork.Connection) {
    guard self.connection === connection else { return }
    whenAwake { [unowned self] in
      guard self.connection === connection else { return }
      reconnect()
    }
  }

  private func reconnect() {
    if let connection { world.network.breakOff(connection) }
    if machine?.isOver == false { backoff = 200 }
    endSession()
    backoff = min(backoff * 2, 15_000)
    world.after(backoff / 2 + world.chance(0...backoff)) { [unowned self] in connect() }
  }

  /// SIGSTOP, and SIGCONT after a while.
  func pause(for time: Milliseconds) {
    guard isRunning, pausedUntil <= world.now else { return }
    world.count("worker pause")
    world.note("worker \(index) stops for \(time)")
    pausedUntil = world.now + time
    world.after(time) { [unowned self] in
      guard pausedUntil == world.now else { return }
      while !postponed.isEmpty { try postponed.removeFirst()() }
    }
  }

  private func whenAwake(_ body: @escaping () throws -> Void) {
    if pausedUntil > world.now || !postponed.isEmpty {
      postponed.append(body)
    } else {
      do { try body() } catch { world.invariants.fail("\(error)") }
    }
  }

  /// SIGTERM; another process takes its place later.
  func drain() {
    guard isRunning else { return }
    world.count("drain")
    whenAwake { [unowned self] in handle(.drainRequested) }
  }

  // MARK: - Conversation

  func receive(_ bytes: [UInt8], over connection: SimulatedNetwork.Connection) throws {
    whenAwake { [unowned self] in
      guard self.connection === connection else { return }
      let frameCount = connection.workerEnd?.frameCount
      let actions = connection.workerEnd?.receive(bytes) ?? []
      if connection.workerEnd?.frameCount != frameCount { handle(.heard) }
      for action in actions {
        guard self.connection === connection else { return }
        switch action {
        case .write(let bytes): world.network.send(bytes, over: connection, toCoordinator: true)
        case .message(let message, let request):
          if case .turnedAway = message {
          } else {
            try world.invariants.delivered(message, toCoordinator: false, over: connection)
          }
          handle(.received(message, request: request))
        case .close(let reason):
          world.note("worker \(index) closes: \(reason)")
          world.count("closed by worker")
          reconnect()
        }
      }
    }
  }

  private func handle(_ event: WorkerMachine.Event) {
    guard machine != nil, let connection else { return }
    let jitter = UInt8(truncatingIfNeeded: world.random.next())
    let effects = machine!.handle(event, at: world.now, jitter: jitter)
    for effect in effects {
      guard self.connection === connection else { return }
      perform(effect)
    }
  }

  private func perform(_ effect: WorkerMachine.Effect) {
    switch effect {
    case .begin, .forget, .log: break
    case .send(let message, let request): send(message, request)
    case .train(let task): begin(task)
    case .stop(let epoch): if training?.task.epoch == epoch { training?.isStopped = true }
    case .takeCheckpoint(let epoch):
      if training?.task.epoch == epoch { training?.wantsCheckpoint = true }
    case .answer(let task): answer(task)
    case .stopAnswering(let request, let reason):
      guard answering?.request == request else { return }
      world.count("answer given up")
      answering = nil
      handle(.answerFailed(request: request, reason: reason))
    case .remember(let head): self.head = head
    case .end(.drained):
      world.note("worker \(index) has drained")
      world.count("drained")
      endProcess()
      start(after: world.chance(1_000...60_000))
    case .end(let reason):
      world.note("worker \(index) ends its session: \(reason)")
      reconnect()
    }
  }

  private func send(_ message: WireMessage, _ request: UInt64 = 0) {
    if case .forgotten = message, character.character == .mute { return world.count("mute") }
    if case .upload(let epoch, let key, let work, let artifact) = message,
      [.protocolLiar, .bitLiar].contains(character.character)
    {
      for lie in lies(epoch, key, work, artifact) { transmit(lie, request) }
    } else {
      transmit(message, request)
    }
  }

  private func transmit(_ message: WireMessage, _ request: UInt64) {
    guard let connection else { return }
    connection.sent.toCoordinator.append(message)
    for bytes in connection.workerEnd?.send(message, request: request) ?? [] {
      world.network.send(bytes, over: connection, toCoordinator: true)
    }
  }

  // MARK: - Lies

  private func lies(
    _ epoch: UInt64, _ key: BlockKey, _ work: TrainingWork, _ artifact: [UInt8]
  ) -> [WireMessage] {
    let truth = WireMessage.upload(epoch: epoch, key, work, artifact: artifact)
    guard !world.isCalm else { return [truth] }
    world.count("lie")
    let other = BlockKey(SHA256.hash(key.digest.bytes))
    if character.character == .bitLiar {
      var bits = artifact
      bits[bits.count - 1] ^= 1
      world.invariants.liesTold += 1
      return [.upload(epoch: epoch, key, work, artifact: bits)]
    }
    switch Int.random(in: 0..<7, using: &world.random) {
    case 0: return [truth, truth, truth]
    case 1: return [.upload(epoch: epoch &- 1, key, work, artifact: artifact), truth]
    case 2: return [.upload(epoch: epoch, other, work, artifact: artifact), truth]
    case 3: return [.upload(epoch: epoch, key, work, artifact: [1, 2, 3])]
    case 4:
      return [
        .heartbeat(epoch: epoch &+ 1, StageProgress(step: 9, totalSteps: 1)),
        .failed(epoch: epoch &+ 1, Failure(kind: .fatal, reason: "another's lease")),
        .checkpoint(epoch: epoch &+ 1, key, step: .max, state: [1]), truth,
      ]
    case 5:
      var claimed = work
      claimed.examples = .max
      claimed.seconds = .infinity
      return [.upload(epoch: epoch, key, claimed, artifact: artifact)]
    default: return [.forgotten(throughDeletion: .max), .requestWork, .requestWork, truth]
    }
  }

  private var isLying: Bool { character.character != .honest && !world.isCalm }

  /// What a peer may say of itself: none of it may hold up the others.
  private func lie(about introduction: inout Introduction) {
    hasLiedAboutClass = false
    guard isLying else { return }
    switch character.character {
    case .headLiar:
      world.count("lie")
      introduction.head = AttestedHead(
        LedgerHead(size: UInt64(world.chance(0...1_000)), root: Digest(world.bytes(32))!),
        tag: Digest(world.bytes(32))!)
    case .classLiar:
      world.count("lie")
      introduction.numericClass = "class \(world.chance(0...9))"
      hasLiedAboutClass = true
    case .failer, .idler:
      introduction.name = "name \(world.chance(0...99))"
      introduction.host = "host \(world.chance(0...99))"
    case .peeker:
      for location in world.scenario.records.prefix(3).map(\.location) {
        peeked.append(location)
      }
    case .honest, .protocolLiar, .bitLiar, .mute: break
    }
  }

  /// Says of everything, under ever other names, that nobody can train it.
  private func failAtOnce(_ task: TrainingTask) {
    world.count("lie")
    let kind: Failure.Kind = [.fatal, .host, .retryable, .cancelled].randomElement(
      using: &world.random)!
    training = nil
    handle(.trainingFailed(epoch: task.epoch, Failure(kind: kind, reason: "nobody can")))
  }

  /// Asks for slices that no lease of its own reads.
  private func peek() {
    guard isLying, character.character == .peeker, connection != nil, machine != nil else { return }
    for location in peeked.prefix(3) {
      world.count("lie")
      let digest = world.coordinator.core.state.slices[location.shard][location.slice].digest
      transmit(.fetchSlice(SliceReference(location: location, digest: digest)), 1 << 62)
    }
  }

  // MARK: - Training

  private func begin(_ task: TrainingTask) {
    var chain = SimulatedTraining(
      task.assignment, slices: task.slices.map(\.digest), ancestors: task.ancestors)
    if let checkpoint = task.checkpoint {
      world.count(chain.restore(checkpoint) ? "resumed" : "checkpoint refused")
    }
    training = Training(task: task, chain: chain)
    if isLying, character.character == .failer { return failAtOnce(task) }
    step(life)
  }

  private func step(_ life: Int) {
    world.after(character.stepTime) { [unowned self] in
      guard life == self.life else { return }
      whenAwake { [unowned self] in
        guard life == self.life, training != nil else { return }
        advance(life)
      }
    }
  }

  private func advance(_ life: Int) {
    guard var training else { return }
    let epoch = training.task.epoch
    let standsStill = isLying && character.character == .idler || hasLiedAboutClass
    if standsStill, training.chain.step > 0, !training.isStopped {
      // It lives, renews its lease, and gets nowhere.
      world.count("stands still")
      return step(life)
    }
    if training.isStopped {
      self.training = nil
      return handle(
        .trainingFailed(epoch: epoch, Failure(kind: .cancelled, reason: "cancelled")))
    }
    if world.fault(oneIn: 200) {
      self.training = nil
      let kind: Failure.Kind = world.fault(oneIn: 4) ? .host : .retryable
      return handle(.trainingFailed(epoch: epoch, Failure(kind: kind, reason: "boom")))
    }
    if training.chain.isDone {
      self.training = nil
      let artifact = training.chain.artifact
      world.invariants.trained(
        artifact, from: Self.tags(of: training.task, in: world.scenario),
        ancestors: training.task.ancestors)
      let recipe = world.scenario.run.recipe
      let recordCount = training.task.slices.reduce(0) { $0 + $1.records.count }
      return handle(
        .trained(
          epoch: epoch, artifact: artifact,
          TrainingWork(
            steps: UInt64(recipe.stepCount(recordCount: recordCount)),
            examples: UInt64(recipe.exampleCount(recordCount: recordCount)), seconds: 1,
            gemmSeconds: 1, finalLoss: 0)))
    }
    training.chain.advance()
    let wantsCheckpoint = training.wantsCheckpoint
    training.wantsCheckpoint = false
    self.training = training
    handle(
      .stepped(
        epoch: epoch,
        StageProgress(step: training.chain.step, totalSteps: training.chain.stepCount)))
    if wantsCheckpoint {
      world.count("checkpoint")
      handle(
        .checkpointReady(
          epoch: epoch, step: training.chain.step, state: training.chain.checkpoint))
    }
    step(life)
  }

  private static func tags(of task: TrainingTask, in scenario: Scenario) -> Set<RecordTag> {
    Set(task.slices.flatMap { $0.records.compactMap { scenario.tags[$0.id] } })
  }

  // MARK: - Answering

  static func prediction(from artifacts: [Digest]) -> ShardedPrediction {
    let digest = SHA256.hash(artifacts.flatMap(\.bytes))
    return ShardedPrediction(logits: digest.bytes.prefix(2).map(Double.init))
  }

  private func answer(_ task: AnswerTask) {
    answering = task
    let life = life
    world.after(world.chance(1...2_000)) { [unowned self] in
      guard life == self.life else { return }
      whenAwake { [unowned self] in
        guard life == self.life, answering?.request == task.request else { return }
        answering = nil
        // What the answer is made from are the bytes, not the names they were asked by.
        let artifacts = task.view.flatMap(\.artifacts).map { name in
          task.artifacts[name].map { SHA256.hash($0) } ?? SHA256.hash([])
        }
        handle(
          .answered(request: task.request, [Self.prediction(from: artifacts)]))
      }
    }
  }

  // MARK: - What it holds

  var heldRecords: Set<RecordTag> {
    training.map { Self.tags(of: $0.task, in: world.scenario) } ?? []
  }

  var heldArtifacts: Set<Digest> { Set(answering?.artifacts.keys.map { $0 } ?? []) }
}
