import CoordinatorCore
import Hashing
import Testing
import WireFormat
import WorkerCore

@Suite("A worker's session") struct SessionTests {
  @Test("beats every five seconds, a fifth more or less, with the epoch and step in hand")
  func heartbeats() {
    for (jitter, pause) in [(0, 4_000), (255, 6_000)] as [(UInt8, Milliseconds)] {
      var conversation = Conversation()
      conversation.tell(
        .received(.welcome(Conversation.recipe, Conversation.head), request: 0), jitter: jitter)
      conversation.now += pause - 1
      #expect(conversation.tell(.ticked, jitter: jitter).isEmpty)
      conversation.now += 1
      #expect(
        conversation.tell(.ticked, jitter: jitter).sent
          == [.heartbeat(epoch: 0, StageProgress(step: 0, totalSteps: 0))])
    }
    var conversation = Conversation.training()
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    #expect(
      conversation.pass(6_000).sent
        == [.heartbeat(epoch: 7, StageProgress(step: 2, totalSteps: 9))])
  }

  @Test("ends when nothing is heard for twenty seconds")
  func silence() {
    var conversation = Conversation.training()
    conversation.now += 15_000
    conversation.hear(.heard(epoch: 7))
    #expect(conversation.tick(after: 19_999).ending == nil)
    let effects = conversation.tick(after: 1)
    #expect(effects == [.stop(epoch: 7), .end(.silence)])
    #expect(conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work)).isEmpty)
    var unwelcome = Conversation()
    #expect(unwelcome.tick(after: 20_000).ending == .silence)
  }

  enum Waiting: Sendable, CaseIterable {
    case slice, artifact, upload
  }

  @Test("ends when an answer does not come for a minute", arguments: Waiting.allCases)
  func noAnswer(_ waiting: Waiting) {
    var conversation = Conversation.begun()
    switch waiting {
    case .slice:
      conversation.hear(.lease(Conversation.lease(7)))
      conversation.now += 30_000
      conversation.asked.removeFirst()
      conversation.answerNext()
    case .artifact: conversation.hear(Conversation.question([[10]]), request: 5)
    case .upload:
      conversation = Conversation.training()
      conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work))
    }
    #expect(conversation.pass(59_999).ending == nil)
    #expect(conversation.pass(1).ending == .noAnswer)
  }

  @Test("ends when it is turned away, before and after welcome")
  func turnedAway() {
    let refusal = TurnedAway(.revoked, "gone")
    var conversation = Conversation()
    #expect(conversation.hear(.turnedAway(refusal)).ending == .turnedAway(refusal))
    conversation = Conversation.begun()
    #expect(conversation.hear(.turnedAway(refusal)).ending == .turnedAway(refusal))
  }

  @Test("remembers every head it is shown")
  func heads() {
    var conversation = Conversation.begun()
    #expect(conversation.hear(.head(Conversation.head)) == [.remember(Conversation.head)])
  }

  // MARK: - Hostile peers

  static let workerMessages: [WireMessage] = [
    .requestWork, .heartbeat(epoch: 1, StageProgress(step: 0, totalSteps: 0)),
    .fetchSlice(Conversation.slice), .fetchArtifact(SHA256.hash([1])),
    .upload(epoch: 1, Conversation.key, Conversation.work, artifact: []),
    .failed(epoch: 1, Failure(kind: .fatal, reason: "")), .forgotten(throughDeletion: 1),
    .checkpoint(epoch: 1, Conversation.key, step: 1, state: []),
    .fetchCheckpoint(Conversation.key), .draining, .predictions([]), .predictionFailed(""),
    .welcome(Conversation.recipe, Conversation.head),
  ]

  @Test("ends at what no coordinator says", arguments: workerMessages)
  func brokenProtocol(message: WireMessage) {
    var conversation = Conversation.begun()
    let effects = conversation.hear(message)
    guard case .brokenProtocol = effects.ending else {
      Issue.record("went on")
      return
    }
    #expect(effects.count == 1)
  }

  @Test(
    "ends at anything before welcome",
    arguments: [
      .lease(Conversation.lease(1)), .forget(throughDeletion: 1, artifacts: []),
      Conversation.question([[10]]), .heard(epoch: 0),
    ] as [WireMessage])
  func beforeWelcome(message: WireMessage) {
    var conversation = Conversation()
    #expect(conversation.hear(message).count == 1)
    #expect(conversation.machine.isOver)
  }

  @Test(
    "says nothing to answers that nobody asked for",
    arguments: [
      .slice([]), .artifact([1]), .unavailable("x"), .heard(epoch: 9), .cancel(epoch: 9),
      .uploadAccepted(epoch: 9), .uploadRefused(epoch: 9, .busy),
    ] as [WireMessage])
  func unasked(message: WireMessage) {
    for request: UInt64 in [0, 1, 99, .max] {
      var conversation = Conversation.begun()
      #expect(conversation.hear(message, request: request).isEmpty)
      conversation = Conversation.training()
      #expect(conversation.hear(message, request: request).isEmpty, "already answered")
    }
  }

  @Test("ends rather than owe confirmations without end")
  func owed() {
    var settings = WorkerMachine.Settings()
    settings.owedLimit = 2
    var conversation = Conversation.begun(settings: settings)
    conversation.hear(Conversation.question([[10]]), request: 5)
    for number: UInt64 in 1...2 {
      #expect(
        conversation.hear(.forget(throughDeletion: number, artifacts: [])).ending == nil)
    }
    #expect(conversation.hear(.forget(throughDeletion: 3, artifacts: [])).ending != nil)
  }

  // MARK: - Questions

  @Test("questions are answered one after the other, each artifact fetched once")
  func questions() {
    var conversation = Conversation.begun()
    let first = conversation.hear(Conversation.question([[10], [11], [10]]), request: 5)
    #expect(first.sent.count == 2)
    #expect(conversation.hear(Conversation.question([[11]]), request: 6).isEmpty)
    #expect(conversation.hear(Conversation.question([[11]]), request: 6).isEmpty, "said twice")
    let task = conversation.answerAll().answerTask
    #expect(task?.request == 5)
    #expect(task?.artifacts == [SHA256.hash([10]): [10], SHA256.hash([11]): [11]])
    let predictions = [ShardedPrediction(logits: [1, 2])]
    let effects = conversation.tell(.answered(request: 5, predictions))
    #expect(effects.first == .send(.predictions(predictions), request: 5))
    #expect(effects.answerTask?.request == 6, "it has what it needs")
    #expect(
      conversation.tell(.answerFailed(request: 6, reason: "no"))
        == [.send(.predictionFailed("no"), request: 6)])
  }

  @Test("a question that cannot be answered is said to be so when all answers have come")
  func failedQuestions() {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([[10], [11]]), request: 5)
    #expect(conversation.answerNext(with: .artifact([99])).isEmpty)
    let effects = conversation.answerNext()
    #expect(effects.sent.count == 1 && effects.answerTask == nil)
    conversation.hear(Conversation.question([[12]]), request: 6)
    #expect(
      conversation.answerNext(with: .unavailable("gone"))
        == [.send(.predictionFailed("gone"), request: 6)])
  }

  @Test("no more questions wait than the limit says")
  func questionLimit() {
    var settings = WorkerMachine.Settings()
    settings.questionLimit = 1
    var conversation = Conversation.begun(settings: settings)
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.hear(Conversation.question([[10]]), request: 6)
    #expect(
      conversation.hear(Conversation.question([[10]]), request: 7)
        == [.send(.predictionFailed("too busy"), request: 7)])
    var trainer = Conversation.begun(roles: [.train])
    #expect(
      trainer.hear(Conversation.question([[10]]), request: 7)
        == [.send(.predictionFailed("this worker does not serve"), request: 7)])
  }

  @Test("the oldest artifacts make room")
  func artifactLimit() {
    var settings = WorkerMachine.Settings()
    settings.artifactByteLimit = 2
    var conversation = Conversation.begun(settings: settings)
    for (request, artifact) in Sample.artifacts.enumerated() {
      conversation.hear(Conversation.question([artifact]), request: UInt64(request))
      conversation.answerAll()
      conversation.tell(.answered(request: UInt64(request), []))
    }
    #expect(conversation.hear(Conversation.question([[12], [11]]), request: 8).sent.isEmpty)
    conversation.tell(.answered(request: 8, []))
    #expect(conversation.hear(Conversation.question([[10]]), request: 9).sent.count == 1)
  }

  // MARK: - Draining

  @Test("a drain while idle ends at once, before welcome too")
  func drainIdle() {
    var conversation = Conversation.begun()
    #expect(
      conversation.tell(.drainRequested) == [.send(.draining, request: 0), .end(.drained)])
    var unwelcome = Conversation()
    #expect(unwelcome.tell(.drainRequested) == [.end(.drained)])
  }

  @Test("a drain while training hands over a checkpoint, gives the lease back and ends")
  func drainTraining() {
    var conversation = Conversation.training()
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    #expect(
      conversation.tell(.drainRequested) == [
        .send(.draining, request: 0), .takeCheckpoint(epoch: 7),
      ])
    #expect(conversation.tell(.drainRequested).isEmpty, "said twice")
    #expect(
      conversation.tell(.checkpointReady(epoch: 7, step: 3, state: [8])) == [
        .send(.checkpoint(epoch: 7, Conversation.key, step: 3, state: [8]), request: 0),
        .send(Self.drained(7), request: 0), .stop(epoch: 7), .end(.drained),
      ])
  }

  @Test("a drain waits for a step no longer than its patience")
  func drainPatience() {
    var conversation = Conversation.training()
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    conversation.tell(.drainRequested)
    #expect(conversation.pass(4_999).ending == nil)
    #expect(
      conversation.pass(1) == [
        .send(Self.drained(7), request: 0), .stop(epoch: 7), .end(.drained),
      ])
  }

  @Test("a drain takes no second checkpoint, and none of a stage that has made no step")
  func drainWithoutStep() {
    var conversation = Conversation.training()
    #expect(conversation.tell(.drainRequested).last == .end(.drained))
    conversation = Conversation.training()
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    #expect(conversation.pass(10_000).contains(.takeCheckpoint(epoch: 7)))
    #expect(conversation.tell(.drainRequested) == [.send(.draining, request: 0)])
    #expect(
      conversation.tell(.checkpointReady(epoch: 7, step: 3, state: [8])).last == .end(.drained))
  }

  @Test("a drain waits for the answer to an upload")
  func drainUpload() {
    var conversation = Conversation.training()
    conversation.tell(.stepped(epoch: 7, StageProgress(step: 2, totalSteps: 9)))
    conversation.tell(.drainRequested)
    #expect(
      conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work)).sent.count == 1)
    #expect(conversation.pass(19_999).ending == nil)
    #expect(conversation.hear(.uploadAccepted(epoch: 7)) == [.end(.drained)])
    conversation = Conversation.training()
    conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work))
    conversation.tell(.drainRequested)
    #expect(conversation.pass(20_000).last == .end(.drained))
  }

  @Test("a drain answers the questions that came before it and no others")
  func drainQuestions() {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.hear(Conversation.question([[10]]), request: 6)
    #expect(conversation.tell(.drainRequested) == [.send(.draining, request: 0)])
    #expect(conversation.hear(Conversation.question([[10]]), request: 7).sent.count == 1)
    #expect(conversation.hear(.lease(Conversation.lease(3))).failed == [3], "it was under way")
    conversation.answerAll()
    #expect(conversation.tell(.answered(request: 5, [])).ending == nil)
    #expect(conversation.tell(.answered(request: 6, [])).last == .end(.drained))
  }

  static func drained(_ epoch: UInt64) -> WireMessage {
    .failed(epoch: epoch, Failure(kind: .cancelled, reason: "draining"))
  }
}
