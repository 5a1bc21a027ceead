import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// One session of a worker with its coordinator, from the first byte to the last, as a value.
///
/// It takes what happened and returns what the shell owes for it, in order. It has no thread,
/// clock, socket or random number: the time and a random byte come with every event. A session has
/// a machine of its own, so whatever was deleted while a worker was away, it comes back knowing
/// nothing.
///
/// Invariants, which the tests check after every event:
/// - a worker holds at most one lease, and each ends in exactly one of an answered upload, a
///   `failed` message and the end of the session;
/// - `forgotten` is sent only when nothing that could hold a purged record is under way
///   (`Confirmations`);
/// - nothing is trained or answered but from bytes that are what their digests name;
/// - after `end` nothing follows.
package struct WorkerMachine: Sendable {
  let roles: Set<WorkerRole>
  let settings: Settings

  var now: Milliseconds
  /// Anything from 0 to 255; spreads what a fleet does at the same time.
  var jitter: UInt8 = 0
  /// What the event in hand owes so far.
  var effects: [Effect] = []

  var isWelcome = false
  package internal(set) var isOver = false
  var lastHeard: Milliseconds
  var nextHeartbeat: Milliseconds
  /// Set once the worker takes no more work: when the session ends at the latest.
  var drainDeadline: Milliseconds?

  var lease: HeldLease?
  /// The newest lease that was ever offered; older ones are echoes.
  var lastEpoch: UInt64 = 0
  var awaitsLease = false
  var question: HeldQuestion?
  var questions: [Question] = []

  var lastRequest: UInt64 = 0
  /// What has been asked for and has not come, by request number.
  var fetches: [UInt64: Fetch.Part] = [:]
  var waits: [Fetch.Owner: Fetch.Wait] = [:]
  var cache: ArtifactCache
  var confirmations = Confirmations()

  package init(
    roles: Set<WorkerRole>, settings: Settings = Settings(), at now: Milliseconds
  ) {
    self.roles = roles
    self.settings = settings
    self.now = now
    lastHeard = now
    nextHeartbeat = now
    cache = ArtifactCache(byteLimit: settings.artifactByteLimit)
  }

  /// Decides one event and says what the shell owes for it; the effects are to be performed in
  /// order and before those of the next event.
  package mutating func handle(_ event: Event, at now: Milliseconds, jitter: UInt8) -> [Effect] {
    guard !isOver else { return [] }
    self.now = max(self.now, now)
    self.jitter = jitter
    decide(event)
    defer { effects = [] }
    return effects
  }

  private mutating func decide(_ event: Event) {
    switch event {
    case .heard: lastHeard = now
    case .received(let message, let request):
      lastHeard = now
      receive(message, request: request)
    case .stepped(let epoch, let progress):
      if lease?.epoch == epoch { lease?.progress = progress }
    case .checkpointReady(let epoch, let step, let state):
      keepCheckpoint(epoch: epoch, step: step, state)
    case .trained(let epoch, let artifact, let work):
      finishTraining(epoch: epoch, artifact, work)
    case .trainingFailed(let epoch, let failure): failTraining(epoch: epoch, failure)
    case .answered(let request, let predictions):
      finishQuestion(request, with: .predictions(predictions))
    case .answerFailed(let request, let reason):
      finishQuestion(request, with: .predictionFailed(reason))
    case .drainRequested: drain()
    case .ticked: tick()
    }
  }

  private mutating func receive(_ message: WireMessage, request: UInt64) {
    guard isWelcome else { return greet(message) }
    switch message {
    case .lease(let grant): take(grant)
    // Epoch 0 is no lease's: then the number of a question says what is meant.
    case .cancel(let epoch): if epoch == 0 { cancelQuestion(request) } else { cancel(epoch) }
    case .uploadAccepted(let epoch): finishUpload(epoch: epoch, refusal: nil)
    case .uploadRefused(let epoch, let refusal): finishUpload(epoch: epoch, refusal: refusal)
    case .slice, .artifact, .unavailable: accept(message, request: request)
    case .forget(let number, let artifacts): forget(through: number, artifacts)
    case .predict(let view, let inputs, let aggregation):
      take(Question(request: request, view: view, inputs: inputs, aggregation: aggregation))
    case .head(let head): effects.append(.remember(head))
    case .notice(let text): effects.append(.log(text))
    // Whatever is heard shows that the coordinator lives; this says nothing else.
    case .heard: break
    case .turnedAway(let refusal): end(.turnedAway(refusal))
    case .welcome, .hello, .requestWork, .heartbeat, .fetchSlice, .fetchArtifact, .upload, .failed,
      .forgotten, .checkpoint, .fetchCheckpoint, .draining, .predictions, .predictionFailed:
      end(.brokenProtocol("a message that no coordinator sends"))
    }
  }

  private mutating func greet(_ message: WireMessage) {
    switch message {
    case .welcome(let recipe, let head):
      isWelcome = true
      effects += [.begin(recipe), .remember(head)]
      nextHeartbeat = now + heartbeatPause
      askForWork()
    case .turnedAway(let refusal): end(.turnedAway(refusal))
    default: end(.brokenProtocol("another message before welcome"))
    }
  }

  // MARK: - What all parts use

  mutating func send(_ message: WireMessage, request: UInt64 = 0) {
    effects.append(.send(message, request: request))
  }

  mutating func askForWork() {
    guard isWelcome, roles.contains(.train), lease == nil, drainDeadline == nil else { return }
    awaitsLease = true
    send(.requestWork)
  }

  /// Ends a use whose records are gone, and confirms what waited for it alone.
  mutating func end(_ use: Confirmations.Use) {
    for number in confirmations.end(use) { send(.forgotten(throughDeletion: number)) }
  }

  mutating func end(_ reason: EndReason) {
    guard !isOver else { return }
    if let lease {
      switch lease.phase {
      case .training: effects.append(.stop(epoch: lease.epoch))
      case .fetching, .abandoned, .stopping, .uploading: break
      }
    }
    effects.append(.end(reason))
    isOver = true
    // The shell drops its own when it ends; this is what the machine held.
    (lease, question, questions, fetches, waits) = (nil, nil, [], [:], [:])
    cache.removeAll()
  }

  /// Drops what a purge names and says so as soon as nobody can hold any of it.
  private mutating func forget(through number: UInt64, _ artifacts: [Digest]) {
    guard confirmations.owedCount < settings.owedLimit else {
      return end(.brokenProtocol("too many purges at once"))
    }
    cache.remove(artifacts)
    effects.append(.forget(artifacts: artifacts))
    refuseQuestions(naming: Set(artifacts))
    var uses: [Confirmations.Use] = []
    if let question { uses.append(question.use) }
    if let lease, !lease.holdsOnlyRetainedRecords { uses.append(lease.use) }
    for due in confirmations.forget(throughDeletion: number, waitingFor: uses) {
      send(.forgotten(throughDeletion: due))
    }
    settleQuestion()
  }
}
