import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// Those who delete records and ask for predictions, and who ask again when nobody answers.
final class SimulatedPeople {
  weak var world: Simulation!

  private struct Request {
    var tags: [RecordTag]
    /// The same for every repetition of the request.
    var key: Digest
    var token: UInt64
  }

  private struct Question {
    var worker: WorkerID
    var view: [ServedPrefix]
  }

  private var requests: [UInt64: Request] = [:]
  private var lastToken: UInt64 = 0
  private var questions: [UInt64: Question] = [:]
  private var lastQuestion: UInt64 = 0
  private static let patience: Milliseconds = 30_000

  var isFinished: Bool { requests.isEmpty }

  func start() {
    for number in 0..<Int.random(in: 0...10, using: &world.random) {
      world.after(world.chance(0...world.scenario.calmAfter)) { [unowned self] in
        delete(number)
      }
    }
    ask()
    world.after(world.scenario.calmAfter + 1_000) { [unowned self] in insist() }
  }

  /// When the trouble is over, whatever policy or poison held back is asked for.
  private func insist() {
    world.coordinator.askForTraining()
    world.after(120_000) { [unowned self] in insist() }
  }

  // MARK: - Deletions

  private func delete(_ number: Int) {
    let records = world.scenario.records
    var tags = (0..<Int.random(in: 1...3, using: &world.random)).compactMap { _ in
      records.randomElement(using: &world.random)?.tag
    }
    if tags.isEmpty || world.chance(0...9) == 0 {
      tags.append(RecordTag(SHA256.hash(Array("stranger \(number)".utf8))))
    }
    lastToken += 1
    requests[lastToken] = Request(
      tags: tags, key: SHA256.hash(Array("request \(number)".utf8)), token: lastToken)
    submit(lastToken)
  }

  private func submit(_ token: UInt64) {
    guard let request = requests[token] else { return }
    let wish = DeletionWish(
      tags: request.tags, commitments: request.tags.map { SHA256.hash($0.digest.bytes) },
      salt: Digest(world.bytes(32))!, due: world.moment.wall + 1_000_000, requestKey: request.key)
    world.coordinator.post(.deletionRequested(token: token, wish))
    world.after(world.chance(1_000...10_000)) { [unowned self] in submit(token) }
  }

  func decided(_ token: UInt64, _ decision: DeletionDecision) {
    guard let request = requests.removeValue(forKey: token) else { return }
    world.count("deletion answered")
    switch decision {
    case .decided(let outcomes, _):
      for (tag, outcome) in zip(request.tags, outcomes) {
        switch outcome {
        case .accepted, .duplicate: world.invariants.acknowledged(tag)
        case .unknown: world.invariants.denied(tag)
        }
      }
    case .planIsStale, .keyIsTaken:
      world.invariants.fail("a repeated request was answered \(decision)")
    }
  }

  // MARK: - Predictions

  private func ask() {
    world.after(world.chance(500...15_000)) { [unowned self] in
      question()
      ask()
    }
  }

  private func question() {
    let coordinator = world.coordinator
    // A view is taken of durable state alone.
    guard coordinator.isUp, !coordinator.isSyncing, let id = coordinator.servingWorker() else {
      return
    }
    let view = coordinator.servingView()
    guard !view.isEmpty else { return }
    lastQuestion += 1
    let number = lastQuestion
    questions[number] = Question(worker: id, view: view)
    coordinator.send(
      .predict(view, [PredictionInput(text: "what")], .meanLogits), to: id, request: number)
    world.after(Self.patience) { [unowned self] in questions[number] = nil }
  }

  func answered(_ message: WireMessage, _ request: UInt64, from id: WorkerID) {
    guard let question = questions[request], question.worker == id else { return }
    let coordinator = world.coordinator
    guard !coordinator.isSyncing else {
      return world.after(1) { [unowned self] in answered(message, request, from: id) }
    }
    questions[request] = nil
    guard case .predictions(let predictions) = message else { return }
    guard coordinator.isUp, coordinator.core.state.isCurrent(question.view) else {
      world.count("answer recomputed")
      return self.question()
    }
    world.count("answer given")
    world.invariants.predicted(predictions, from: question.view)
  }

  /// Whether a question to a worker waits that is about an artifact.
  func isAsked(_ id: WorkerID, about artifact: Digest) -> Bool {
    questions.values.contains { question in
      question.worker == id && question.view.contains { $0.artifacts.contains(artifact) }
    }
  }

  func workerLeft(_ id: WorkerID) {
    questions = questions.filter { $0.value.worker != id }
  }

  func coordinatorCrashed() { questions = [:] }
}
