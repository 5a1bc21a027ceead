import CoordinatorCore
import Hashing
import Unlearning
import WireFormat
import WorkerCore

/// A machine with a clock, and the things that tests say to it.
struct Conversation {
  typealias Effect = WorkerMachine.Effect

  var machine: WorkerMachine
  var now: Milliseconds = 1_000
  /// Request numbers of what was asked for and not answered yet, oldest first.
  var asked: [(request: UInt64, message: WireMessage)] = []

  static let records = ["ann", "bob"].map { Sample.record($0) }
  static let slice = SliceReference(
    location: SliceLocation(shard: 0, slice: 1),
    digest: LineageDigest.slice(recordDigests: records.map(\.digest)))
  static let ancestor: [UInt8] = [1, 2, 3]
  static let state: [UInt8] = [7, 7, 7]
  static let key = BlockKey(SHA256.hash([9]))
  static let work = TrainingWork(
    steps: 4, examples: 8, seconds: 1, gemmSeconds: 0.5, finalLoss: 0.25)
  static let recipe = TrainingRecipe(labels: ["a", "b"])
  static let head = AttestedHead(
    LedgerHead(size: 4, root: SHA256.hash([4])), tag: SHA256.hash([5]))

  init(
    roles: Set<WorkerRole> = [.train, .serve],
    settings: WorkerMachine.Settings = WorkerMachine.Settings()
  ) {
    machine = WorkerMachine(roles: roles, settings: settings, at: 1_000)
  }

  /// One that has been welcomed.
  static func begun(
    roles: Set<WorkerRole> = [.train, .serve],
    settings: WorkerMachine.Settings = WorkerMachine.Settings()
  ) -> Conversation {
    var conversation = Conversation(roles: roles, settings: settings)
    conversation.hear(.welcome(recipe, head))
    return conversation
  }

  /// One that trains the lease of an epoch.
  static func training(epoch: UInt64 = 7, settings: WorkerMachine.Settings = .init())
    -> Conversation
  {
    var conversation = begun(settings: settings)
    conversation.hear(.lease(lease(epoch)))
    conversation.answerAll()
    return conversation
  }

  static func lease(_ epoch: UInt64, checkpoint: Bool = false) -> LeaseGrant {
    LeaseGrant(
      epoch: epoch,
      assignment: BlockAssignment(
        slot: BlockSlot(shard: 0, sequence: 0, stage: 2), key: key, layers: 2..<4, seed: 6,
        ancestors: [SHA256.hash(ancestor)], slices: [slice]),
      checkpoint: checkpoint ? StageCheckpoint(step: 3, digest: SHA256.hash(state)) : nil)
  }

  static func question(_ artifacts: [[UInt8]]) -> WireMessage {
    .predict(
      [ServedPrefix(shard: 0, sequence: 0, artifacts: artifacts.map { SHA256.hash($0) })],
      [PredictionInput(text: "a small bird")], .meanLogits)
  }

  @discardableResult
  mutating func tell(_ event: WorkerMachine.Event, jitter: UInt8 = 0) -> [Effect] {
    let effects = machine.handle(event, at: now, jitter: jitter)
    for case .send(let message, let request) in effects {
      switch message {
      case .fetchSlice, .fetchArtifact, .fetchCheckpoint: asked.append((request, message))
      default: break
      }
    }
    return effects
  }

  @discardableResult
  mutating func hear(_ message: WireMessage, request: UInt64 = 0) -> [Effect] {
    tell(.received(message, request: request))
  }

  @discardableResult
  mutating func tick(after milliseconds: Milliseconds = 0) -> [Effect] {
    now += milliseconds
    return tell(.ticked)
  }

  /// Lets time pass with a coordinator that is heard of.
  mutating func pass(_ milliseconds: Milliseconds) -> [Effect] {
    now += milliseconds
    tell(.heard)
    return tell(.ticked)
  }

  /// What an honest coordinator answers.
  static func honestAnswer(to message: WireMessage) -> WireMessage {
    switch message {
    case .fetchSlice: .slice(records.reversed().map(\.encoded))
    case .fetchCheckpoint: .artifact(state)
    case .fetchArtifact(let digest):
      .artifact(([ancestor] + Sample.artifacts).first { SHA256.hash($0) == digest } ?? [])
    default: .unavailable("nothing")
    }
  }

  /// Answers the oldest request.
  @discardableResult
  mutating func answerNext(with message: WireMessage? = nil) -> [Effect] {
    let next = asked.removeFirst()
    return hear(message ?? Self.honestAnswer(to: next.message), request: next.request)
  }

  @discardableResult
  mutating func answerAll() -> [Effect] {
    var effects: [Effect] = []
    while !asked.isEmpty { effects += answerNext() }
    return effects
  }
}

enum Sample {
  static let artifacts: [[UInt8]] = [[10], [11], [12]]

  static func record(_ id: String) -> Record {
    Record(id: try! RecordID(id), text: "text of \(id)", label: "a")
  }
}

extension [WorkerMachine.Effect] {
  /// The messages among the effects.
  var sent: [WireMessage] {
    compactMap { if case .send(let message, _) = $0 { message } else { nil } }
  }

  /// Deletions whose purge is confirmed.
  var confirmed: [UInt64] {
    sent.compactMap { if case .forgotten(let number) = $0 { number } else { nil } }
  }

  var task: TrainingTask? {
    lazy.compactMap { if case .train(let task) = $0 { task } else { nil } }.first
  }

  var answerTask: AnswerTask? {
    lazy.compactMap { if case .answer(let task) = $0 { task } else { nil } }.first
  }

  var ending: WorkerMachine.EndReason? {
    lazy.compactMap { if case .end(let reason) = $0 { reason } else { nil } }.first
  }

  /// Epochs of leases that are reported as failed.
  var failed: [UInt64] {
    sent.compactMap { if case .failed(let epoch, _) = $0 { epoch } else { nil } }
  }
}
