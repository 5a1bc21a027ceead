import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

extension WorkerMachine {
  struct Question: Sendable {
    let request: UInt64
    let view: [ServedPrefix]
    let inputs: [PredictionInput]
    let aggregation: Aggregation

    func names(_ artifacts: Set<Digest>) -> Bool {
      view.contains { $0.artifacts.contains { artifacts.contains($0) } }
    }
  }

  /// The question in hand; the others wait and hold nothing.
  struct HeldQuestion: Sendable {
    let question: Question
    let use: Confirmations.Use
    var artifacts: [Digest: [UInt8]] = [:]
    /// Set when it cannot be answered; said when every answer to it has come.
    var failure: String?
    /// The serving thread has it.
    var isAnswering = false
    /// The serving thread has been told to give it up.
    var isStopped = false
    /// When it is given up, as a purge waits for it although it names nothing that is purged.
    var givesWayAt: Milliseconds?
  }

  mutating func take(_ question: Question) {
    let isKnown =
      self.question?.question.request == question.request
      || questions.contains { $0.request == question.request }
    guard !isKnown else { return }
    if !roles.contains(.serve) {
      refuse(question, "this worker does not serve")
    } else if drainDeadline != nil {
      refuse(question, "this worker is about to end")
    } else if questions.count >= settings.questionLimit {
      refuse(question, "too busy")
    } else {
      questions.append(question)
      beginNextQuestion()
    }
  }

  private mutating func refuse(_ question: Question, _ reason: String) {
    send(.predictionFailed(reason), request: question.request)
  }

  private mutating func beginNextQuestion() {
    guard question == nil, !questions.isEmpty else { return }
    let next = questions.removeFirst()
    var held = HeldQuestion(question: next, use: confirmations.begin())
    var missing: [Digest] = []
    var seen: Set<Digest> = []
    for digest in next.view.flatMap(\.artifacts) where seen.insert(digest).inserted {
      if let known = cache[digest] {
        held.artifacts[digest] = known
      } else {
        missing.append(digest)
      }
    }
    question = held
    for digest in missing { ask(.fetchArtifact(digest), for: .member(digest)) }
    settleQuestion()
  }

  /// Takes what was fetched for the question, if it is what its digest names.
  mutating func supplyQuestion(_ digest: Digest, with message: WireMessage) {
    guard let held = question else { return }
    switch message {
    case .artifact(let bytes) where SHA256.hash(bytes) == digest:
      if held.failure == nil { question?.artifacts[digest] = bytes }
      if confirmations.admits(held.use) { cache.insert(bytes, digest) }
    case .unavailable(let reason): question?.failure = held.failure ?? reason
    default:
      question?.failure = held.failure ?? "an artifact arrived with other bytes than its name"
    }
    settleQuestion()
  }

  /// Hands the question to the serving thread, or gives it up, once every answer has come.
  mutating func settleQuestion() {
    guard let held = question, !held.isAnswering, !isFetching(for: .question) else { return }
    if let failure = held.failure {
      return close(held, saying: .predictionFailed(failure))
    }
    question?.isAnswering = true
    // The serving thread has them now.
    question?.artifacts = [:]
    effects.append(
      .answer(
        AnswerTask(
          request: held.question.request, view: held.question.view, inputs: held.question.inputs,
          aggregation: held.question.aggregation, artifacts: held.artifacts)))
  }

  mutating func finishQuestion(_ request: UInt64, with message: WireMessage) {
    guard let held = question, held.isAnswering, held.question.request == request else { return }
    close(held, saying: message)
  }

  private mutating func close(_ held: HeldQuestion, saying message: WireMessage) {
    question = nil
    send(message, request: held.question.request)
    end(held.use)
    beginNextQuestion()
    leaveIfDone()
  }

  /// Gives up questions about purged artifacts: their view is of the past, and what they fetched
  /// after the purge could stay.
  mutating func refuseQuestions(naming artifacts: Set<Digest>) {
    let reason = "the view has changed"
    for question in questions where question.names(artifacts) { refuse(question, reason) }
    questions.removeAll { $0.names(artifacts) }
    guard let held = question else { return }
    if held.question.names(artifacts) {
      giveUpQuestion(reason)
    } else if held.givesWayAt == nil {
      // Most are answered before that, and need not be asked again.
      question?.givesWayAt = now + settings.questionPatience
    }
  }

  /// Nobody waits for the answer any more.
  mutating func cancelQuestion(_ request: UInt64) {
    if let index = questions.firstIndex(where: { $0.request == request }) {
      return refuse(questions.remove(at: index), "cancelled")
    }
    guard question?.question.request == request else { return }
    giveUpQuestion("cancelled")
    settleQuestion()
  }

  mutating func giveWayIfDue() {
    guard let due = question?.givesWayAt, due <= now else { return }
    question?.givesWayAt = nil
    // The confirmation may have been owed for something else, and be said by now.
    guard confirmations.owedCount > 0 else { return }
    giveUpQuestion("it gave way to a purge")
    settleQuestion()
  }

  /// Has the serving thread stop, or lets what is fetched go; said when nothing is left of it.
  private mutating func giveUpQuestion(_ reason: String) {
    guard let held = question else { return }
    guard held.isAnswering else {
      question?.failure = held.failure ?? reason
      question?.artifacts = [:]
      return
    }
    guard !held.isStopped else { return }
    question?.isStopped = true
    effects.append(.stopAnswering(request: held.question.request, reason: reason))
  }
}
