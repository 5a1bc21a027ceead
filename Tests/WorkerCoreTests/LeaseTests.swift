import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat
import WorkerCore

@Suite("A worker's lease") struct LeaseTests {
  typealias Effect = WorkerMachine.Effect

  @Test("begins with welcome, work and the ledger's head")
  func welcome() {
    var conversation = Conversation()
    let effects = conversation.hear(.welcome(Conversation.recipe, Conversation.head))
    #expect(
      effects == [
        .begin(Conversation.recipe), .remember(Conversation.head), .send(.requestWork, request: 0),
      ])
    var server = Conversation(roles: [.serve])
    #expect(server.hear(.welcome(Conversation.recipe, Conversation.head)).sent.isEmpty)
  }

  @Test("fetches everything at once and trains on what is proved")
  func fetches() {
    var conversation = Conversation.begun()
    let effects = conversation.hear(.lease(Conversation.lease(7, checkpoint: true)))
    #expect(
      effects == [
        .send(.fetchSlice(Conversation.slice), request: 1),
        .send(.fetchArtifact(SHA256.hash(Conversation.ancestor)), request: 2),
        .send(.fetchCheckpoint(Conversation.key), request: 3),
      ])
    #expect(conversation.hear(.artifact(Conversation.state), request: 3).isEmpty)
    #expect(conversation.hear(.artifact(Conversation.ancestor), request: 2).isEmpty)
    let task = conversation.hear(
      .slice(Conversation.records.reversed().map(\.encoded)), request: 1
    ).task
    #expect(
      task
        == TrainingTask(
          epoch: 7, assignment: Conversation.lease(7).assignment,
          slices: [
            TrainingTask.Slice(digest: Conversation.slice.digest, records: Conversation.records)
          ], ancestors: [Conversation.ancestor], checkpoint: Conversation.state))
  }

  struct Answer: Sendable {
    let part: Int
    let message: WireMessage
    let failure: Failure.Kind?
    let because: String
  }

  static let answers = [
    Answer(
      part: 0, message: .slice([Conversation.records[0].encoded]), failure: .retryable,
      because: "a record is missing"),
    Answer(
      part: 0, message: .slice((Conversation.records + Conversation.records).map(\.encoded)),
      failure: .retryable, because: "records come twice"),
    Answer(part: 0, message: .slice([[1, 2]]), failure: .retryable, because: "no record"),
    Answer(
      part: 0, message: .unavailable("gone"), failure: .cancelled,
      because: "the slice has changed, so the lease is stale"),
    Answer(part: 0, message: .artifact([1]), failure: .retryable, because: "not what was asked"),
    Answer(part: 1, message: .artifact([1]), failure: .retryable, because: "other bytes"),
    Answer(part: 1, message: .unavailable("gone"), failure: .retryable, because: "no ancestor"),
    Answer(part: 1, message: .slice([]), failure: .retryable, because: "not what was asked"),
    Answer(
      part: 2, message: .artifact([1]), failure: nil, because: "a checkpoint can be done without"),
    Answer(
      part: 2, message: .unavailable("gone"), failure: nil,
      because: "a checkpoint can be done without"),
    Answer(
      part: 2, message: .slice([]), failure: nil, because: "a checkpoint can be done without"),
  ]

  @Test("does not train on anything else than was named", arguments: answers)
  func refuses(_ row: Answer) {
    var conversation = Conversation.begun()
    conversation.hear(.lease(Conversation.lease(7, checkpoint: true)))
    let wrong = conversation.asked.remove(at: row.part)
    #expect(conversation.hear(row.message, request: wrong.request).isEmpty)
    let effects = conversation.answerAll()
    guard let failure = row.failure else {
      #expect(effects.task?.checkpoint == nil && effects.task != nil, "\(row.because)")
      return
    }
    #expect(effects.task == nil, "\(row.because)")
    guard case .failed(7, let found) = effects.sent.first else {
      Issue.record("not reported")
      return
    }
    #expect(found.kind == failure, "\(row.because)")
    #expect(effects.sent.last == .requestWork)
  }

  @Test("a cancelled fetch ends when every answer has come")
  func cancelWhileFetching() {
    var conversation = Conversation.begun()
    conversation.hear(.lease(Conversation.lease(7)))
    #expect(conversation.hear(.cancel(epoch: 6)).isEmpty, "of another lease")
    #expect(conversation.hear(.cancel(epoch: 7)).isEmpty)
    #expect(conversation.answerNext().isEmpty)
    #expect(conversation.answerNext().sent == [Self.failed(7), .requestWork])
  }

  @Test("a cancelled training stops, and ends when its thread says so")
  func cancelWhileTraining() {
    var conversation = Conversation.training()
    #expect(conversation.hear(.cancel(epoch: 7)) == [.stop(epoch: 7)])
    #expect(conversation.hear(.cancel(epoch: 7)).isEmpty, "said twice")
    #expect(
      conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work)).sent
        == [Self.failed(7), .requestWork], "its result came too late")
  }

  @Test(
    "an upload is answered once, and then comes the next lease",
    arguments: [nil, .staleLease, .alreadyCommitted, .invalidArtifact, .confirmed]
      as [UploadRefusal?])
  func upload(refusal: UploadRefusal?) {
    var conversation = Conversation.training()
    #expect(
      conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work)) == [
        .send(.upload(epoch: 7, Conversation.key, Conversation.work, artifact: [5]), request: 0)
      ])
    #expect(conversation.hear(.cancel(epoch: 7)).isEmpty, "it will be answered")
    #expect(conversation.hear(.uploadAccepted(epoch: 6)).isEmpty, "of another lease")
    let answer: WireMessage =
      refusal.map { .uploadRefused(epoch: 7, $0) } ?? .uploadAccepted(epoch: 7)
    #expect(conversation.hear(answer).sent == [.requestWork])
    #expect(conversation.hear(answer).isEmpty, "said twice")
  }

  @Test("a busy coordinator is offered the same upload again, later and later")
  func busy() {
    var conversation = Conversation.training()
    let upload = conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work))
    for pause: Milliseconds in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
      #expect(conversation.hear(.uploadRefused(epoch: 7, .busy)).isEmpty)
      #expect(conversation.hear(.uploadAccepted(epoch: 7)).isEmpty, "nothing is offered now")
      #expect(!conversation.pass(pause - 1).contains(upload[0]))
      #expect(conversation.pass(1).contains(upload[0]))
    }
    conversation.hear(.uploadRefused(epoch: 7, .busy))
    #expect(conversation.hear(.cancel(epoch: 7)).sent == [Self.failed(7), .requestWork])
  }

  @Test("one at a time: another is handed back, an echo is not")
  func oneAtATime() {
    var conversation = Conversation.training()
    #expect(conversation.hear(.lease(Conversation.lease(7))).isEmpty, "the same again")
    #expect(conversation.hear(.lease(Conversation.lease(3))).isEmpty, "of the past")
    #expect(conversation.hear(.lease(Conversation.lease(8))).failed == [8])
    conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work))
    #expect(conversation.hear(.uploadAccepted(epoch: 7)).sent == [.requestWork])
    #expect(conversation.hear(.lease(Conversation.lease(0))).isEmpty, "no lease has epoch 0")
    #expect(conversation.hear(.lease(Conversation.lease(9))).failed.isEmpty)
  }

  @Test("a worker that only serves hands every lease back")
  func servesOnly() {
    var conversation = Conversation.begun(roles: [.serve])
    #expect(conversation.hear(.lease(Conversation.lease(7))).failed == [7])
  }

  @Test("what a thread says of another lease is not passed on")
  func staleThreads() {
    var conversation = Conversation.training()
    #expect(conversation.tell(.trained(epoch: 6, artifact: [5], Conversation.work)).isEmpty)
    #expect(
      conversation.tell(.trainingFailed(epoch: 6, Failure(kind: .host, reason: ""))).isEmpty)
    #expect(conversation.tell(.checkpointReady(epoch: 7, step: 1, state: [1])).isEmpty)
    #expect(conversation.tell(.answered(request: 3, [])).isEmpty)
    #expect(conversation.tell(.answerFailed(request: 3, reason: "")).isEmpty)
  }

  @Test("checkpoints come every ten seconds of training that made a step")
  func checkpoints() {
    var conversation = Conversation.training()
    #expect(!conversation.pass(10_000).contains(.takeCheckpoint(epoch: 7)), "no step yet")
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    #expect(conversation.pass(0).contains(.takeCheckpoint(epoch: 7)))
    #expect(!conversation.pass(10_000).contains(.takeCheckpoint(epoch: 7)), "under way")
    #expect(
      conversation.tell(.checkpointReady(epoch: 7, step: 3, state: [8])).sent
        == [.checkpoint(epoch: 7, Conversation.key, step: 3, state: [8])])
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 5, totalSteps: 9)))
    #expect(!conversation.pass(9_999).contains(.takeCheckpoint(epoch: 7)))
    #expect(conversation.pass(1).contains(.takeCheckpoint(epoch: 7)))
    conversation.hear(.cancel(epoch: 7))
    #expect(
      conversation.tell(.checkpointReady(epoch: 7, step: 6, state: [8])).isEmpty,
      "the lease is cancelled")
  }

  static func failed(_ epoch: UInt64) -> WireMessage {
    .failed(epoch: epoch, Failure(kind: .cancelled, reason: "cancelled"))
  }
}
