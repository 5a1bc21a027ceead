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
    /// Raised by every purge; caches older than it are dropped before they are used again.
    var purgeCount = 0
  }

  private struct Cancelled: Error {}

  private let connection: TCPConnection
  private let writing = Guarded(())
  private let model: LoadedModel
  private let introduction: Introduction
  private let log: Log
  private let leases = Mailbox<Lease>(limit: 4)
  private let questions = Mailbox<Question>(limit: 256)
  private let activity = Guarded(Activity())
  private let answers = Guarded<(last: UInt64, waiting: [UInt64: Promise<WireMessage?>])>((0, [:]))
  /// Artifacts fetched in this session.
  private let artifacts = Guarded<[Digest: [UInt8]]>([:])

  private static let heartbeatSeconds = 5.0

  init(_ connection: TCPConnection, model: LoadedModel, introduction: Introduction, log: Log) {
    self.connection = connection
    self.model = model
    self.introduction = introduction
    self.log = log
  }

  /// Returns when the connection ends.
  func run() throws {
    defer { close() }
    connection.setTimeout(seconds: 10)
    try send(.hello(introduction))
    guard let first = try connection.readFrame(limit: Frame.maximumByteCount) else { return }
    switch try WireMessage(first) {
    case .welcome(let recipe): start(recipe)
    case .turnedAway(let reason): throw TurnedAway(reason: reason)
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
    case .lease(let epoch, let assignment):
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
    case .forget(let number, let dropped):
      artifacts.withLock { known in for digest in dropped { known[digest] = nil } }
      activity.withLock { $0.purgeCount += 1 }
      // Training that reads purged records was cancelled before; its thread drops them by itself
      // before it takes anything up again.
      try send(.forgotten(throughDeletion: number))
    case .predict(let view, let inputs):
      let question = Question(request: request, view: view, inputs: inputs)
      if !questions.put(question) { try send(.predictionFailed("too busy"), request: request) }
    case .uploadAccepted: break
    case .uploadRefused(_, let reason): log.write("upload_refused", "\(reason)")
    case .hello, .requestWork, .heartbeat, .fetchSlice, .fetchArtifact, .upload, .failed,
      .forgotten, .predictions, .predictionFailed, .welcome, .turnedAway:
      log.write("unexpected_message", "\(message.frame().type)")
    }
  }

  private func start(_ recipe: TrainingRecipe) {
    BackgroundThread.start("heartbeat") { [self] in beat() }
    if introduction.roles.contains(.serve) {
      BackgroundThread.start("serve") { [self] in serve(recipe) }
    }
    if introduction.roles.contains(.train) {
      BackgroundThread.start("train") { [self] in train(recipe) }
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
  }

  private func send(_ message: WireMessage, request: UInt64 = 0) throws {
    let bytes = message.frame(request: request).encoded
    try writing.withLock { _ in try connection.write(bytes) }
  }

  /// Asks the coordinator and waits; throws if the session ended.
  private func ask(_ message: WireMessage) throws -> WireMessage {
    let answer = Promise<WireMessage?>()
    let request = answers.withLock { answers in
      answers.last += 1
      answers.waiting[answers.last] = answer
      return answers.last
    }
    try send(message, request: request)
    guard !activity.withLock({ $0.isClosed }),
      let reply = answer.wait(seconds: 60) ?? nil
    else { throw Cancelled() }
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
    var ensemble = Ensemble(model: model, recipe: recipe)
    var purgeCount = 0
    while let question = questions.take() {
      let newest = activity.withLock { $0.purgeCount }
      if newest != purgeCount { ensemble.forget() }
      purgeCount = newest
      let reply: WireMessage
      do {
        reply = .predictions(
          try ensemble.answer(question.inputs, view: question.view) { try fetchArtifact($0) })
      } catch {
        reply = .predictionFailed("\(error)")
      }
      // A failed send ends the session through the reader.
      try? send(reply, request: question.request)
    }
  }

  private func fetchArtifact(_ digest: Digest) throws -> [UInt8] {
    if let known = artifacts.withLock({ $0[digest] }) { return known }
    switch try ask(.fetchArtifact(digest)) {
    case .artifact(let bytes) where SHA256.hash(bytes) == digest:
      artifacts.withLock { $0[digest] = bytes }
      return bytes
    case .unavailable(let reason): throw ServiceError(.tryLater, reason)
    default: throw ServiceError(.failure, "an artifact arrived with other bytes than its name")
    }
  }

  // MARK: - Training

  private func train(_ recipe: TrainingRecipe) {
    var training = StageTraining(model: model, recipe: recipe)
    var purgeCount = 0
    while true {
      // A failed send ends the session through the reader, which closes the mailbox.
      try? send(.requestWork)
      guard let lease = leases.take() else { return }
      let newest = activity.withLock { $0.purgeCount }
      if newest != purgeCount { training.forget() }
      purgeCount = newest
      do {
        try carryOut(lease, &training)
      } catch {
        if error is Cancelled { training.forget() }
        let failure =
          error is Cancelled
          ? Failure(kind: .cancelled, reason: "cancelled")
          : Failure(kind: .retryable, reason: "\(error)")
        try? send(.failed(epoch: lease.epoch, failure))
      }
      activity.withLock { if $0.epoch == lease.epoch { $0.epoch = 0 } }
    }
  }

  private func carryOut(_ lease: Lease, _ training: inout StageTraining) throws {
    let assignment = lease.assignment
    let slices = try assignment.slices.map { (digest: $0.digest, records: try fetchSlice($0)) }
    let ancestors = try assignment.ancestors.map { try fetchArtifact($0) }
    let (artifact, work) = try training.train(assignment, slices: slices, ancestors: ancestors) {
      progress in
      let isCancelled = activity.withLock { activity in
        activity.progress = StageProgress(
          step: UInt32(progress.step + 1), totalSteps: UInt32(progress.totalStepCount))
        return activity.isCancelled
      }
      if isCancelled { throw Cancelled() }
    }
    try send(.upload(epoch: lease.epoch, assignment.key, work, artifact: artifact))
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
