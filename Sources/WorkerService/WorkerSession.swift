import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WireFormat
import WorkerCore

/// One connection to the coordinator: performs what `WorkerMachine` decides.
///
/// The calling thread reads; one thread writes, one trains, one answers, one ticks. All events pass
/// through the machine under one lock, and their effects are performed before the next event, so
/// that the machine's order is everybody's. Nothing under the lock waits for a peer.
final class WorkerSession: Sendable {
  /// How a session ended.
  enum Outcome: Sendable {
    case ended(WorkerMachine.EndReason)
    /// This end closed the connection, or was refused before the coordinator proved its key.
    case refused(TurnedAway)
    case lost(String)
  }

  private struct State: Sendable {
    var machine: WorkerMachine
    var end: WorkerEnd
    /// Frames of the handshake, which go before sealed ones.
    var handshake: [[UInt8]] = []
    var random: SeededGenerator
    var outcome: Outcome?
    var wasWelcome = false
    /// The training in hand must end at its next step.
    var isStopped = false
    var wantsCheckpoint = false
    /// The question that the serving thread must give up, and why.
    var stoppedQuestion: (request: UInt64, reason: String)?
    /// One for each thread that works on records, fulfilled when the thread is through.
    var threads: [Promise<Bool>] = []

    mutating func nextFrame() -> [UInt8]? {
      handshake.isEmpty ? end.nextFrame() : handshake.removeFirst()
    }
  }

  private struct Stopped: Error {}

  private let connection: TCPConnection
  private let model: LoadedModel
  private let roles: Set<WorkerRole>
  private let manager: ServiceManager?
  private let log: Log
  /// Told every ledger head the coordinator shows.
  private let noteHead: @Sendable (AttestedHead) -> Void
  private let state: Guarded<State>
  private let memory: RecordMemory
  private let tasks = Mailbox<(task: TrainingTask, use: RecordMemory.Use)>(limit: 4)
  private let questions = Mailbox<(task: AnswerTask, use: RecordMemory.Use)>(limit: 4)
  /// Wakes the writer.
  private let waiting = Mailbox<Bool>(limit: 1)
  private let isDone = Promise<Bool>()

  private static let tickSeconds = 0.2
  /// A link that is this far behind gets no further checkpoint.
  private static let backlogByteCount = 8 << 20
  /// How long the last words of a drain may take.
  private static let farewellSeconds = 3.0
  /// A cut network is noticed within the time that a lease lasts.
  private static let unacknowledgedSeconds = 15

  init(
    _ connection: TCPConnection, key: PeerKey, introduction: Introduction, model: LoadedModel,
    settings: WorkerMachine.Settings, cacheByteLimit: Int, manager: ServiceManager?, log: Log,
    noteHead: @escaping @Sendable (AttestedHead) -> Void
  ) {
    self.connection = connection
    memory = RecordMemory(segmentByteLimit: cacheByteLimit)
    self.model = model
    self.manager = manager
    self.log = log
    self.noteHead = noteHead
    roles = introduction.roles
    let seed = SystemRandom.bytes(count: 8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    state = Guarded(
      State(
        machine: WorkerMachine(roles: roles, settings: settings, at: Self.now),
        end: WorkerEnd(
          key: key, introduction: introduction, nonce: SystemRandom.bytes(count: 32)),
        random: SeededGenerator(seed: seed)))
  }

  /// Returns when the connection has ended and nothing is left of what came through it.
  func run() -> (outcome: Outcome, wasWelcome: Bool) {
    connection.setUnacknowledgedLimit(seconds: Self.unacknowledgedSeconds)
    BackgroundThread.start("write") { [self] in write() }
    BackgroundThread.start("tick") { [self] in tick() }
    state.withLock { $0.handshake.append($0.end.begin()) }
    waiting.put(true)
    do {
      while true {
        let bytes = try connection.readSome(limit: 64 << 10)
        guard !bytes.isEmpty else { break }
        receive(bytes)
      }
      finish(.lost("the coordinator closed the connection"))
    } catch {
      finish(.lost("\(error)"))
    }
    isDone.fulfil(true)
    connection.shutDown()
    let (outcome, wasWelcome, threads) = state.withLock {
      ($0.outcome!, $0.wasWelcome, $0.threads)
    }
    // The next session says that it knows nothing, and it shares this process: a step that still
    // runs must have dropped its records before that. After a drain the process ends.
    if case .ended(.drained) = outcome {} else { for end in threads { _ = end.wait() } }
    let figures = memory.segmentFigures
    if figures.hits + figures.misses > 0 { log.write(.activations, figures.text) }
    memory.forgetAll()
    return (outcome, wasWelcome)
  }

  /// Hands over what is under way, and ends.
  func drain() { tell(.drainRequested) }

  // MARK: - Events and effects

  private static var now: Milliseconds { SystemClock.monotonicMilliseconds }

  private func tell(_ event: WorkerMachine.Event) { state.withLock { tell(event, &$0) } }

  private func tell(_ event: WorkerMachine.Event, _ state: inout State) {
    let jitter = UInt8(truncatingIfNeeded: state.random.next())
    for effect in state.machine.handle(event, at: Self.now, jitter: jitter) {
      perform(effect, &state)
    }
  }

  private func perform(_ effect: WorkerMachine.Effect, _ state: inout State) {
    switch effect {
    case .begin(let recipe):
      state.wasWelcome = true
      start(recipe, &state)
    case .send(let message, let request):
      guard state.outcome == nil else { return }
      if !state.end.enqueue(message, request: request) {
        finish(.lost("a message is too large for the wire: \(message.type)"), &state)
      }
      waiting.put(true)
    case .train(let task):
      (state.isStopped, state.wantsCheckpoint) = (false, false)
      tasks.put((task, memory.begin()))
    case .stop: state.isStopped = true
    case .takeCheckpoint: state.wantsCheckpoint = true
    case .answer(let task):
      state.stoppedQuestion = nil
      questions.put((task, memory.begin()))
    case .stopAnswering(let request, let reason): state.stoppedQuestion = (request, reason)
    case .forget(let artifacts): memory.forget(artifacts: artifacts)
    case .remember(let head): noteHead(head)
    case .log(let text): log.write(.notice, text)
    case .end(let reason): finish(.ended(reason), &state)
    }
  }

  private func finish(_ outcome: Outcome) { state.withLock { finish(outcome, &$0) } }

  /// Ends everything; only the first reason counts.
  private func finish(_ outcome: Outcome, _ state: inout State) {
    guard state.outcome == nil else { return }
    state.outcome = outcome
    state.isStopped = true
    waiting.close()
    tasks.close()
    questions.close()
    // A drain's last words are still on their way: the writer ends the connection behind them.
    if case .ended(.drained) = outcome { return }
    connection.shutDown()
  }

  // MARK: - Reading, writing and time

  private func receive(_ bytes: [UInt8]) {
    state.withLock { state in
      guard state.outcome == nil else { return }
      let frameCount = state.end.frameCount
      let actions = state.end.receive(bytes)
      if state.end.frameCount > frameCount { tell(.heard, &state) }
      for action in actions {
        switch action {
        case .write(let bytes):
          state.handshake.append(bytes)
          waiting.put(true)
        case .message(let message, let request):
          note(message, request: request)
          tell(.received(message, request: request), &state)
        case .close(let reason):
          finish(state.end.refusal.map(Outcome.refused) ?? .lost(reason), &state)
        }
      }
    }
  }

  private func note(_ message: WireMessage, request: UInt64) {
    switch message {
    // Under a number that no question has: why what was handed in is about to be refused.
    case .unavailable(let reason) where request >> 63 == 1: log.write(.uploadRefused, reason)
    // An audit's bits came out the same; and a busy coordinator is offered them again.
    case .uploadRefused(_, .confirmed), .uploadRefused(_, .busy): break
    case .uploadRefused(_, let reason): log.write(.uploadRefused, "\(reason)")
    default: break
    }
  }

  private func write() {
    repeat {
      while let bytes = state.withLock({ $0.nextFrame() }) {
        do {
          try connection.write(bytes)
        } catch {
          return finish(.lost("\(error)"))
        }
      }
    } while waiting.take() != nil
    connection.endWriting()
  }

  private func tick() {
    var farewell: Double?
    var hasTold = false
    while isDone.wait(seconds: Self.tickSeconds) == nil {
      let (isOver, wasWelcome) = state.withLock { state in
        tell(.ticked, &state)
        return (state.outcome != nil, state.wasWelcome)
      }
      // The machine has just answered. Without its lock held: a manager may be slow.
      if !isOver { manager?.feedWatchdog() }
      if wasWelcome, !isOver, !hasTold {
        manager?.say("STATUS=connected to \(connection.peer)")
        hasTold = true
      }
      guard isOver else { continue }
      farewell = farewell ?? SystemClock.seconds + Self.farewellSeconds
      if let farewell, farewell < SystemClock.seconds { connection.shutDown() }
    }
  }

  // MARK: - Work

  private func start(_ recipe: TrainingRecipe, _ state: inout State) {
    if roles.contains(.train) {
      let training = StageTraining(model: model, recipe: recipe, memory: memory)
      // What goes on for minutes must not keep a deletion or an answer waiting.
      startThread("train", givesWay: true, &state) { session in session.nextTraining(training) }
    }
    if roles.contains(.serve) {
      let ensemble = Ensemble(model: model, recipe: recipe, memory: memory)
      startThread("serve", &state) { session in session.nextAnswer(ensemble) }
    }
  }

  /// - Parameter next: Waits for work and does it; `nil` when there will be no more.
  private func startThread(
    _ name: String, givesWay: Bool = false, _ state: inout State,
    next: @escaping @Sendable (WorkerSession) -> WorkerMachine.Event?
  ) {
    let end = Promise<Bool>()
    state.threads.append(end)
    BackgroundThread.start(name, givesWay: givesWay) { [self] in
      // Told only when the call has dropped what it worked on.
      while let event = next(self) { tell(event) }
      end.fulfil(true)
    }
  }

  /// - Invariant: nothing made from records outlives this call, but through `memory` and the event.
  private func nextTraining(_ training: StageTraining) -> WorkerMachine.Event? {
    guard let (task, use) = tasks.take() else { return nil }
    let epoch = task.epoch
    let evictions = memory.segmentFigures.evictions
    // Who runs the worker should know that it could use more memory.
    defer {
      let figures = memory.segmentFigures
      if figures.evictions > evictions { log.write(.activations, figures.text) }
    }
    do {
      let (artifact, work) = try training.train(
        task, for: use, beforeSlice: checkGoesOn,
        onStep: { progress, checkpoint in
          try report(progress, of: epoch, checkpoint: checkpoint)
        })
      return .trained(epoch: epoch, artifact: artifact, work)
    } catch is Stopped {
      return .trainingFailed(epoch: epoch, Failure(kind: .cancelled, reason: "cancelled"))
    } catch let error as ServiceError {
      return .trainingFailed(epoch: epoch, Failure(kind: .retryable, reason: error.message))
    } catch {
      return .trainingFailed(epoch: epoch, Failure(kind: .retryable, reason: "\(error)"))
    }
  }

  private func checkGoesOn() throws {
    guard !state.withLock({ $0.isStopped }) else { throw Stopped() }
  }

  /// Tells the machine of a step, and takes the checkpoint that it has asked for.
  private func report(
    _ progress: TrainingProgress, of epoch: UInt64, checkpoint: () -> [UInt8]
  ) throws {
    let step = UInt32(clamping: progress.step + 1)
    let isWanted = try state.withLock { state in
      tell(
        .stepped(
          epoch: epoch,
          StageProgress(step: step, totalSteps: UInt32(clamping: progress.totalStepCount))),
        &state)
      guard !state.isStopped else { throw Stopped() }
      return state.wantsCheckpoint && state.end.waitingByteCount < Self.backlogByteCount
    }
    guard isWanted else { return }
    let bytes = checkpoint()
    state.withLock { state in
      state.wantsCheckpoint = false
      tell(.checkpointReady(epoch: epoch, step: step, state: bytes), &state)
    }
  }

  private func nextAnswer(_ ensemble: Ensemble) -> WorkerMachine.Event? {
    guard let (task, use) = questions.take() else { return nil }
    do {
      let predictions = try ensemble.answer(task, for: use) {
        state.withLock { $0.stoppedQuestion?.request != task.request && $0.outcome == nil }
      }
      if let predictions { return .answered(request: task.request, predictions) }
      let reason = state.withLock { $0.stoppedQuestion?.reason }
      return .answerFailed(request: task.request, reason: reason ?? "the session has ended")
    } catch let error as ServiceError {
      return .answerFailed(request: task.request, reason: error.message)
    } catch {
      return .answerFailed(request: task.request, reason: "\(error)")
    }
  }
}
