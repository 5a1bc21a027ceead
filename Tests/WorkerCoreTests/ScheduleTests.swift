import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat
import WorkerCore

/// Random orders of everything that can happen, against an account of what the threads and the wire
/// hold that is kept apart from the machine's own.
@Suite("Schedules of a session") struct ScheduleTests {
  /// What a worker may hold of the records of a moment.
  struct Holder: Hashable {
    enum Kind: Hashable {
      case lease(UInt64)
      case question(UInt64)
    }

    let kind: Kind
  }

  struct World {
    var conversation: Conversation
    var random: SeededGenerator
    var isOver = false
    var nextEpoch: UInt64 = 1
    var nextQuestion: UInt64 = 100
    var nextDeletion: UInt64 = 1
    /// What the coordinator has granted and not cancelled, as far as the worker has read.
    var liveEpoch: UInt64?
    var training: UInt64?
    var isStopped = false
    var answering: UInt64?
    var stopped: UInt64?
    var openLease: UInt64?
    /// Epochs of uploads that are offered and not answered.
    var offered: UInt64?
    var openQuestions: [UInt64] = []
    var outcomes: [UInt64: Int] = [:]
    /// Owed confirmations with the work that could hold what they purge.
    var owed: [(deletion: UInt64, holders: Set<Holder>)] = []
    var hasAskedForWork = true
    var checkpointEpoch: UInt64?
    var isDraining = false
    var trainedCount = 0
    var confirmedCount = 0

    init(seed: UInt64) {
      conversation = Conversation.begun()
      random = SeededGenerator(seed: seed)
    }
  }

  @Test("keep every promise, whatever the order", arguments: UInt64(0)..<200)
  func schedules(seed: UInt64) throws {
    var world = World(seed: seed)
    for _ in 0..<400 where !world.isOver {
      try world.step()
    }
    // Whoever holds a lease at the end of its session has its one outcome with it.
    if let open = world.openLease, !world.isOver {
      #expect(world.outcomes[open] == nil)
    }
  }

  @Test("come to trained blocks and confirmed purges, or they would prove nothing")
  func reach() throws {
    var (trained, confirmed) = (0, 0)
    for seed in UInt64(0)..<20 {
      var world = World(seed: seed)
      for _ in 0..<400 where !world.isOver { try world.step() }
      trained += world.trainedCount
      confirmed += world.confirmedCount
    }
    #expect(trained > 20 && confirmed > 100)
  }
}

extension ScheduleTests.World {
  typealias Holder = ScheduleTests.Holder

  private mutating func chance(_ parts: Int, of whole: Int) -> Bool {
    Int(random.next() % UInt64(whole)) < parts
  }

  mutating func step() throws {
    conversation.now += Milliseconds(random.next() % 400)
    switch random.next() % 16 {
    case 0: try offerLease()
    case 1, 2, 3, 4: try answerRequest()
    case 5: try cancel()
    case 6: try forget()
    case 7: try ask()
    case 8, 9: try endTraining()
    case 10: try endAnswering()
    case 11: try answerUpload()
    case 12: try hostile()
    case 13: try hear(.heard(epoch: 0))
    case 14: try stepOrCheckpoint()
    default:
      if chance(1, of: 60) {
        isDraining = true
        try tell(.drainRequested)
      } else {
        try tell(.ticked)
      }
    }
  }

  // MARK: - What the coordinator does

  private mutating func offerLease() throws {
    // Now and then without having been asked.
    guard hasAskedForWork || chance(1, of: 10) else { return }
    let epoch = nextEpoch
    nextEpoch += 1
    if hasAskedForWork, !isDraining, openLease == nil {
      (openLease, liveEpoch) = (epoch, epoch)
      hasAskedForWork = false
    }
    try hear(.lease(Conversation.lease(epoch, checkpoint: chance(1, of: 2))))
  }

  private mutating func answerRequest() throws {
    guard !conversation.asked.isEmpty else { return }
    let index = Int(random.next() % UInt64(conversation.asked.count))
    let (request, message) = conversation.asked.remove(at: index)
    let answer: WireMessage =
      switch random.next() % 12 {
      case 0: .unavailable("gone")
      case 1: .artifact([99])
      case 2: .slice([[1]])
      default: Conversation.honestAnswer(to: message)
      }
    try hear(answer, request: request)
  }

  private mutating func cancel() throws {
    if let question = openQuestions.last, chance(1, of: 4) {
      return try hear(.cancel(epoch: 0), request: question)
    }
    guard let epoch = openLease, chance(1, of: 3) else { return try hear(.cancel(epoch: 999)) }
    liveEpoch = nil
    try hear(.cancel(epoch: epoch))
  }

  private mutating func forget() throws {
    var holders: Set<Holder> = []
    if let epoch = openLease, liveEpoch != epoch || offered == epoch {
      holders.insert(Holder(kind: .lease(epoch)))
    }
    if let first = openQuestions.first { holders.insert(Holder(kind: .question(first))) }
    owed.append((nextDeletion, holders))
    nextDeletion += 1
    try hear(
      .forget(
        throughDeletion: nextDeletion - 1,
        artifacts: chance(1, of: 2) ? [SHA256.hash([10])] : []))
  }

  private mutating func ask() throws {
    guard openQuestions.count < 5, !isDraining else { return }
    nextQuestion += 1
    openQuestions.append(nextQuestion)
    let artifact = Sample.artifacts[Int(random.next() % 3)]
    try hear(Conversation.question([artifact, [11]]), request: nextQuestion)
  }

  private mutating func answerUpload() throws {
    guard let epoch = offered else { return }
    offered = nil
    if chance(1, of: 3) {
      try hear(.uploadRefused(epoch: epoch, .busy))
    } else {
      note(outcomeOf: epoch)
      trainedCount += 1
      try hear(
        chance(1, of: 2) ? .uploadAccepted(epoch: epoch) : .uploadRefused(epoch: epoch, .staleLease)
      )
    }
  }

  private mutating func hostile() throws {
    let messages: [WireMessage] = [
      .slice([]), .artifact([10]), .unavailable("no"), .uploadAccepted(epoch: 10_000),
      .uploadRefused(epoch: 10_000, .busy), .cancel(epoch: 0), .lease(Conversation.lease(0)),
      .head(Conversation.head),
    ]
    try hear(messages[Int(random.next() % UInt64(messages.count))], request: 100_000)
  }

  // MARK: - What the threads do

  private mutating func endTraining() throws {
    guard let epoch = training, chance(1, of: 3) else { return }
    training = nil
    isStopped = false
    checkpointEpoch = nil
    if chance(2, of: 3) {
      try tell(.trained(epoch: epoch, artifact: [5], Conversation.work))
    } else {
      try tell(.trainingFailed(epoch: epoch, Failure(kind: .host, reason: "r")))
    }
  }

  private mutating func endAnswering() throws {
    guard let request = answering else { return }
    answering = nil
    try tell(
      chance(1, of: 2)
        ? .answered(request: request, []) : .answerFailed(request: request, reason: "r"))
  }

  private mutating func stepOrCheckpoint() throws {
    if let epoch = checkpointEpoch {
      checkpointEpoch = nil
      try tell(.checkpointReady(epoch: epoch, step: 4, state: [4]))
    } else if let epoch = training {
      try tell(.stepped(epoch: epoch, StageProgress(step: 5, totalSteps: 9)))
    }
  }

  // MARK: - What must hold

  private mutating func note(outcomeOf epoch: UInt64) {
    outcomes[epoch, default: 0] += 1
    if openLease == epoch { (openLease, liveEpoch) = (nil, nil) }
  }

  private mutating func hear(_ message: WireMessage, request: UInt64 = 0) throws {
    try tell(.received(message, request: request))
  }

  private mutating func tell(_ event: WorkerMachine.Event) throws {
    for effect in conversation.tell(event, jitter: UInt8(truncatingIfNeeded: random.next())) {
      try #require(!isOver, "nothing follows the end")
      switch effect {
      case .send(let message, let request): try check(message, request: request)
      case .train(let task):
        try #require(training == nil && liveEpoch == task.epoch, "one live lease at a time")
        try #require(task.slices.map(\.records) == [Conversation.records])
        try #require(task.ancestors == [Conversation.ancestor])
        try #require(task.checkpoint == nil || task.checkpoint == Conversation.state)
        training = task.epoch
      case .stop(let epoch):
        try #require(training == epoch && !isStopped, "only what runs is stopped, and once")
        isStopped = true
      case .takeCheckpoint(let epoch):
        try #require(training == epoch && checkpointEpoch == nil)
        checkpointEpoch = epoch
      case .answer(let task):
        try #require(answering == nil && openQuestions.contains(task.request))
        let named = Set(task.view.flatMap(\.artifacts))
        try #require(Set(task.artifacts.keys) == named)
        try #require(task.artifacts.allSatisfy { SHA256.hash($0.value) == $0.key })
        answering = task.request
      case .stopAnswering(let request, _):
        try #require(answering == request && stopped != request, "only what runs, and once")
        stopped = request
      case .begin, .forget, .remember, .log: break
      case .end: isOver = true
      }
    }
  }

  private mutating func check(_ message: WireMessage, request: UInt64) throws {
    switch message {
    case .forgotten(let number):
      let first = try #require(owed.first, "nothing is owed")
      try #require(first.deletion == number, "in order")
      for holder in first.holders {
        switch holder.kind {
        case .lease(let epoch):
          try #require(openLease != epoch && training != epoch, "the lease is under way")
        case .question(let question):
          try #require(
            !openQuestions.contains(question) && answering != question,
            "the question is under way")
        }
      }
      owed.removeFirst()
      confirmedCount += 1
    case .failed(let epoch, _):
      note(outcomeOf: epoch)
      try #require(outcomes[epoch] == 1, "one outcome")
      // A drain gives back what still runs, and confirms nothing after it.
      if training == epoch { try #require(isDraining) }
    case .upload(let epoch, _, _, _):
      try #require(outcomes[epoch] == nil && offered == nil && openLease == epoch)
      offered = epoch
    case .checkpoint(let epoch, _, _, _):
      try #require(openLease == epoch && outcomes[epoch] == nil)
    case .predictions, .predictionFailed:
      try #require(openQuestions.contains(request), "answered once")
      openQuestions.removeAll { $0 == request }
    case .requestWork:
      try #require(openLease == nil && !hasAskedForWork && !isDraining)
      hasAskedForWork = true
    case .heartbeat(let epoch, _): try #require(epoch == openLease ?? 0)
    case .draining, .fetchSlice, .fetchArtifact, .fetchCheckpoint: break
    default: Issue.record("a worker does not say this")
    }
  }
}
