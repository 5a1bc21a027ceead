import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import Training
import Transport
import Unlearning
import WireFormat

/// One connection to the coordinator, with the threads that serve it.
///
/// This thread reads; one trains, one answers predictions, one beats. Training cannot hold up a
/// heartbeat, and a prediction does not wait for a step.
final class WorkerSession: Sendable {
  private struct Lease: Sendable {
    var epoch: UInt64
    var assignment: BlockAssignment
  }

  private struct Question: Sendable {
    var request: UInt64
    var view: [ServedPrefix]
    var inputs: [PredictionInput]
  }

  /// What the training thread is at; epoch 0 while idle.
  private struct Activity: Sendable {
    var epoch: UInt64 = 0
    var progress = StageProgress(step: 0, totalSteps: 0)
    var isCancelled = false
    var isClosed = false

    /// The lease that may go on; none while idle, when cancelled, and at the end.
    var liveLease: UInt64? { isCancelled || isClosed || epoch == 0 ? nil : epoch }
  }

  private struct Cancelled: Error {}

  private let connection: TCPConnection
  private let writing = Guarded(())
  private let model: LoadedModel
  private let introduction: Introduction
  /// Told every ledger head the coordinator shows.
  private let noteHead: @Sendable (LedgerHead) -> Void
  private let log: Log
  private let leases = Mailbox<Lease>(limit: 4)
  private let questions = Mailbox<Question>(limit: 256)
  private let activity = Guarded(Activity())
  private let answers = Guarded<(last: UInt64, waiting: [UInt64: Promise<WireMessage?>])>((0, [:]))
  private let memory = RecordMemory()
  /// One for each thread that works on records, fulfilled when the thread is through.
  private let threads = Guarded<[Promise<Bool>]>([])

  private static let heartbeatSeconds = 5.0
  private static let answerSeconds = 60.0

  init(
    _ connection: TCPConnection, model: LoadedModel, introduction: Introduction, log: Log,
    noteHead: @escaping @Sendable (LedgerHead) -> Void
  ) {
    self.noteHead = noteHead
    self.connection = connection
    self.model = model
    self.introduction = introduction
    self.log = log
  }

  /// Returns when the connection has ended and nothing is left of what came through it.
  func run() throws {
    defer { close() }
    connection.setTimeout(seconds: 10)
    try send(.hello(introduction))
    guard let first = try connection.readFrame(limit: Frame.maximumByteCount) else { return }
    switch try WireMessage(first) {
    case .welcome(let recipe, let head):
      noteHead(head)
      start(recipe)
    case .turnedAway(let refusal): throw refusal
    default: return log.write("unexpected_message", "before welcome")
    }
    // The coordinator may be silent for long; heartbeats notice if it is gone.
    connection.setTimeout(seconds: 0)
    while let frame = try connection.readFrame(limit: Frame.maximumByteCount) {
      try handle(WireMessage(frame), request: frame.request)
    }
  }

  private func handle(_ message: WireMessage, request: UInt64) throws {
    switch message {
    case .heard: break
    case .lease(let grant):
      let (epoch, assignment) = (grant.epoch, grant.assignment)
      activity.withLock {
        $0.epoch = epoch
        $0.isCancelled = false
        $0.progress = StageProgress(step: 0, totalSteps: 0)
      }
      leases.put(Lease(epoch: epoch, assignment: assignment))
    case .cancel(let epoch):
      activity.withLock { if $0.epoch == epoch { $0.isCancelled = true } }
    case .slice, .artifact, .unavailable:
      answers.withLock { $0.waiting.removeValue(forKey: request) }?.fulfil(message)
    case .forget(let number, let artifacts):
      let liveLease = activity.withLock { $0.liveLease }
      try confirm(
        memory.forget(throughDeletion: number, artifacts: artifacts, liveLease: liveLease))
    case .predict(let view, let inputs):
      let question = Question(request: request, view: view, inputs: inputs)
      if !questions.put(question) { try send(.predictionFailed("too busy"), request: request) }
    case .head(let head): noteHead(head)
    // An audit's bits came out the same.
    case .uploadAccepted, .uploadRefused(_, .confirmed): break
    case .uploadRefused(_, let reason): log.write("upload_refused", "\(reason)")
    case .checkpoint, .fetchCheckpoint, .draining, .hello, .requestWork, .heartbeat, .fetchSlice,
      .fetchArtifact, .upload, .failed,
      .forgotten, .predictions, .predictionFailed, .welcome, .turnedAway:
      log.write("unexpected_message", "\(message.frame().type)")
    }
  }

  private func start(_ recipe: TrainingRecipe) {
    BackgroundThread.start("heartbeat") { [self] in beat() }
    if introduction.roles.contains(.serve) { startThread("serve") { $0.serve(recipe) } }
    if introduction.roles.contains(.train) { startThread("train") { $0.train(recipe) } }
  }

  private func startThread(
    _ name: String, _ body: @escaping @Sendable (WorkerSession) -> Void
  ) {
    let end = Promise<Bool>()
    threads.withLock { $0.append(end) }
    BackgroundThread.start(name) { [self] in
      body(self)
      end.fulfil(true)
    }
  }

  private func close() {
    activity.withLock {
      $0.isClosed = true
      $0.isCancelled = true
    }
    connection.shutDown()
    leases.close()
    questions.close()
    let waiting = answers.withLock { answers in
      defer { answers.waiting = [:] }
      return answers.waiting.values.map { $0 }
    }
    for promise in waiting { promise.fulfil(nil) }
    // The next session says that it knows nothing, and it shares this process: a step that still
    // runs must have dropped its records before that.
    for end in threads.withLock({ $0 }) { _ = end.wait() }
    memory.forgetAll()
  }

  private func confirm(_ deletions: [UInt64]) throws {
    for number in deletions { try send(.forgotten(throughDeletion: number)) }
  }

  private func send(_ message: WireMessage, request: UInt64 = 0) throws {
    let bytes = message.frame(request: request).encoded
    try writing.withLock { _ in try connection.write(bytes) }
  }

  /// Asks the coordinator and waits; throws if the session ended.
  ///
  /// An answer that does not come in time ends the session: it may hold records, and must not come
  /// when a purge of them has been confirmed.
  private func ask(_ message: WireMessage) throws -> WireMessage {
    let answer = Promise<WireMessage?>()
    let request = answers.withLock { answers in
      answers.last += 1
      answers.waiting[answers.last] = answer
      return answers.last
    }
    try send(message, request: request)
    guard !activity.withLock({ $0.isClosed }),
      let reply = answer.wait(seconds: Self.answerSeconds) ?? nil
    else {
      connection.shutDown()
      throw Cancelled()
    }
    return reply
  }

  private func beat() {
    while !activity.withLock({ $0.isClosed }) {
      let (epoch, progress) = activity.withLock { ($0.epoch, $0.progress) }
      do {
        try send(.heartbeat(epoch: epoch, progress))
      } catch {
        return connection.shutDown()
      }
      // Jitter keeps a fleet that started together from beating together.
      let jitter = Double(SystemRandom.bytes(count: 1)[0]) / 255
      let end = SystemClock.seconds + Self.heartbeatSeconds * (0.4 + 0.3 * jitter)
      while SystemClock.seconds < end, !activity.withLock({ $0.isClosed }) {
        SystemClock.sleep(seconds: 0.1)
      }
    }
  }

  // MARK: - Serving

  private func serve(_ recipe: TrainingRecipe) {
    let ensemble = Ensemble(model: model, recipe: recipe, memory: memory)
    while let question = questions.take(), !activity.withLock({ $0.isClosed }) {
      let use = memory.begin(.question)
      let reply = answer(question, ensemble, for: use)
      // A failed send ends the session through the reader.
      try? send(reply, request: question.request)
      try? confirm(memory.end(use))
    }
  }

  private func answer(_ question: Question, _ ensemble: Ensemble, for use: RecordMemory.Use)
    -> WireMessage
  {
    do {
      return .predictions(
        try ensemble.answer(question.inputs, view: question.view, for: use) { digest in
          try fetchArtifact(digest, for: use)
        })
    } catch {
      return .predictionFailed("\(error)")
    }
  }

  private func fetchArtifact(_ digest: Digest, for use: RecordMemory.Use) throws -> [UInt8] {
    if let known = memory.artifact(digest) { return known }
    switch try ask(.fetchArtifact(digest)) {
    case .artifact(let bytes) where SHA256.hash(bytes) == digest:
      memory.keep(bytes, digest, for: use)
      return bytes
    case .unavailable(let reason): throw ServiceError(.tryLater, reason)
    default: throw ServiceError(.failure, "an artifact arrived with other bytes than its name")
    }
  }

  // MARK: - Training

  private func train(_ recipe: TrainingRecipe) {
    let training = StageTraining(model: model, recipe: recipe, memory: memory)
    while true {
      // A failed send ends the session through the reader, which closes the mailbox.
      try? send(.requestWork)
      guard let lease = leases.take(), !activity.withLock({ $0.isClosed }) else { return }
      let use = memory.begin(.lease(epoch: lease.epoch))
      do {
        try carryOut(lease, training, for: use)
      } catch {
        let failure =
          error is Cancelled
          ? Failure(kind: .cancelled, reason: "cancelled")
          : Failure(kind: .retryable, reason: "\(error)")
        try? send(.failed(epoch: lease.epoch, failure))
      }
      // Records and activations went with `carryOut`.
      try? confirm(memory.end(use))
      activity.withLock { if $0.epoch == lease.epoch { $0.epoch = 0 } }
    }
  }

  /// - Invariant: nothing made from records outlives this call, but through `memory` and `send`.
  private func carryOut(
    _ lease: Lease, _ training: StageTraining, for use: RecordMemory.Use
  ) throws {
    let assignment = lease.assignment
    let slices = try assignment.slices.map { slice in
      // A lease may be cancelled while it waits for this thread, and must not begin.
      try checkLive(lease)
      return (digest: slice.digest, records: try fetchSlice(slice))
    }
    let ancestors = try assignment.ancestors.map { digest in
      try checkLive(lease)
      return try fetchArtifact(digest, for: use)
    }
    let (artifact, work) = try training.train(
      assignment, slices: slices, ancestors: ancestors, for: use,
      beforeSlice: { try checkLive(lease) },
      onStep: { progress in
        activity.withLock {
          $0.progress = StageProgress(
            step: UInt32(progress.step + 1), totalSteps: UInt32(progress.totalStepCount))
        }
        try checkLive(lease)
      })
    memory.beginUpload(use)
    try send(.upload(epoch: lease.epoch, assignment.key, work, artifact: artifact))
  }

  private func checkLive(_ lease: Lease) throws(Cancelled) {
    guard activity.withLock({ $0.liveLease }) == lease.epoch else { throw Cancelled() }
  }

  /// A slice's records, in the order of their ids, proved to be exactly those the key names.
  private func fetchSlice(_ reference: SliceReference) throws -> [Record] {
    switch try ask(.fetchSlice(reference)) {
    case .slice(let encoded):
      let records = try encoded.map { try Record(encoded: $0) }.sorted { $0.id < $1.id }
      guard LineageDigest.slice(recordDigests: records.map(\.digest)) == reference.digest else {
        throw ServiceError(.failure, "a slice arrived with other records than its digest names")
      }
      return records
    case .unavailable: throw Cancelled()
    default: throw ServiceError(.failure, "the coordinator answered a slice with something else")
    }
  }
}
