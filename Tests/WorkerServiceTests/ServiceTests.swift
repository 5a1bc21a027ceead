import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import TestKit
import Testing
import Unlearning
import WireFormat
import WorkerCore
import WorkerService

@Suite("A worker process against a coordinator's end", .serialized) struct ServiceTests {
  static let key = PeerKey(
    id: KeyID([UInt8](1...16))!, role: .worker, name: "w", secret: [UInt8](repeating: 5, count: 32)
  )!
  static let head = AttestedHead(
    LedgerHead(size: 0, root: SHA256.hash([])), tag: SHA256.hash([1]))

  static func service(
    _ coordinator: FakeCoordinator, change: (inout WorkerMachine.Settings) -> Void = { _ in }
  ) throws -> WorkerService {
    try service(at: coordinator.address, change: change)
  }

  static func service(
    at coordinator: NetworkAddress, change: (inout WorkerMachine.Settings) -> Void = { _ in }
  ) throws -> WorkerService {
    var settings = WorkerService.Settings(
      coordinator: coordinator, backboneFolder: Stage.backbone, roles: [.train, .serve],
      key: key)
    change(&settings.session)
    return try WorkerService(settings)
  }

  /// Runs until the worker ends or gives up.
  static func run(_ service: WorkerService) -> Promise<String> {
    let ended = Promise<String>()
    BackgroundThread.start("test worker") {
      do {
        try service.run()
        ended.fulfil("ended")
      } catch {
        ended.fulfil((error as? ServiceError)?.message ?? "\(error)")
      }
    }
    return ended
  }

  @Test("trains what it is leased, answers with it, and ends when it is asked to")
  func trains() throws {
    let whole = try Stage.train(epochs: 4)
    let digest = SHA256.hash(whole.artifact)
    let coordinator = try FakeCoordinator(keys: [Self.key]) { message, request in
      switch message {
      case .hello: [(.welcome(Stage.recipe(epochs: 4), Self.head), 0)]
      case .requestWork: [(.lease(LeaseGrant(epoch: 3, assignment: Stage.assignment)), 0)]
      case .fetchSlice: [(.slice(Stage.records.map(\.encoded)), request)]
      case .fetchArtifact: [(.artifact(whole.artifact), request)]
      case .upload:
        [
          (.uploadAccepted(epoch: 3), 0),
          (
            .predict(
              [ServedPrefix(shard: 0, sequence: 0, artifacts: [digest])],
              [PredictionInput(text: "a small bird")], .meanLogits), 77
          ),
        ]
      case .predictions: [(.forget(throughDeletion: 4, artifacts: [digest]), 0)]
      default: []
      }
    }
    let service = try Self.service(coordinator)
    let ended = Self.run(service)
    try waitUntil("a purge that is confirmed", seen: coordinator.heard) {
      coordinator.heard.contains(.forgotten(throughDeletion: 4))
    }
    service.drain()
    #expect(ended.wait(seconds: Pace.patience(quiet: 3)) == "ended")
    var uploads: [[UInt8]] = []
    for case .upload(3, Stage.assignment.key, _, let artifact) in coordinator.heard {
      uploads.append(artifact)
    }
    #expect(uploads == [whole.artifact])
    try waitUntil("a worker that drains", seen: coordinator.heard) {
      coordinator.heard.last == .draining
    }
  }

  @Test("a drained stage is finished by the next worker, to the same bits")
  func handsOver() throws {
    let epochs = 3000
    let whole = try Stage.train(epochs: epochs)
    let kept = Guarded<(step: UInt32, state: [UInt8])?>(nil)
    // Drained by the coordinator's own thread, as the stage's first checkpoint comes: what is left
    // of the stage is long beside the way of that message.
    let first = Guarded<WorkerService?>(nil)
    let coordinator = try FakeCoordinator(keys: [Self.key]) { message, request in
      switch message {
      case .hello: return [(.welcome(Stage.recipe(epochs: epochs), Self.head), 0)]
      case .requestWork:
        let checkpoint = kept.withLock { $0 }.map {
          StageCheckpoint(step: $0.step, digest: SHA256.hash($0.state))
        }
        let grant = LeaseGrant(
          epoch: checkpoint == nil ? 1 : 2, assignment: Stage.assignment, checkpoint: checkpoint)
        return [(.lease(grant), 0)]
      case .fetchSlice: return [(.slice(Stage.records.map(\.encoded)), request)]
      case .fetchCheckpoint: return [(.artifact(kept.withLock { $0!.state }), request)]
      case .checkpoint(_, _, let step, let state):
        kept.withLock { $0 = (step, state) }
        let service = first.withLock { service in
          defer { service = nil }
          return service
        }
        service?.drain()
        return []
      case .upload(let epoch, _, _, _): return [(.uploadAccepted(epoch: epoch), 0)]
      default: return []
      }
    }
    func uploads() -> [(epoch: UInt64, artifact: [UInt8], work: TrainingWork)] {
      coordinator.heard.compactMap { message in
        if case .upload(let epoch, _, let work, let artifact) = message {
          (epoch, artifact, work)
        } else {
          nil
        }
      }
    }
    let service = try Self.service(coordinator) { $0.checkpointInterval = 100 }
    first.withLock { $0 = service }
    let firstEnded = Self.run(service)
    #expect(firstEnded.wait(seconds: Pace.patience(quiet: 3)) == "ended")
    try waitUntil("a stage that is handed back", seen: coordinator.heard) {
      coordinator.heard.contains(
        .failed(epoch: 1, Failure(kind: .cancelled, reason: "draining")))
    }
    let steps = coordinator.heard.compactMap { message in
      if case .checkpoint(_, _, let step, _) = message { step } else { nil }
    }
    try #require(uploads().isEmpty, "the stage was over before the drain")
    #expect(steps.count > 1 && steps == steps.sorted(), "the last step is handed over: \(steps)")
    let second = try Self.service(coordinator)
    let secondEnded = Self.run(second)
    try waitUntil("the stage's end", quiet: 20, seen: coordinator.heard.count) {
      !uploads().isEmpty
    }
    second.drain()
    #expect(secondEnded.wait(seconds: Pace.patience(quiet: 3)) == "ended")
    #expect(uploads()[0].epoch == 2 && uploads()[0].artifact == whole.artifact)
    #expect(uploads()[0].work.steps == whole.work.steps)
  }

  @Test("a wrong key is said at once, and ends no worker: whoever answered has proved nothing")
  func wrongKey() throws {
    let coordinator = try FakeCoordinator(keys: []) { _, _ in [] }
    let service = try Self.service(coordinator)
    let ended = Self.run(service)
    try waitUntil("five tries", seen: coordinator.connections) {
      coordinator.connections >= 5 || ended.wait(seconds: 0) != nil
    }
    #expect(ended.wait(seconds: 0) == nil && coordinator.heard.isEmpty)
    service.drain()
    #expect(ended.wait(seconds: Pace.patience(quiet: 6)) == "ended")
  }

  @Test(
    "refusals forged by someone without the key end no worker, however many there are",
    arguments: [TurnedAway.Cause.version, .protocolError, .role, .backbone, .full, .revoked])
  func forged(cause: TurnedAway.Cause) throws {
    let forgeries = Guarded(0)
    let listener = try TCPListener(NetworkAddress(host: "127.0.0.1", port: 0))
    BackgroundThread.start("forger") {
      while let connection = try? listener.accept() {
        _ = try? connection.readSome(limit: 1 << 10)
        try? connection.write(CoordinatorEnd.refusal(TurnedAway(cause, "go away")))
        connection.shutDown()
        forgeries.withLock { $0 += 1 }
      }
    }
    let service = try Self.service(at: listener.address)
    let ended = Self.run(service)
    try waitUntil("five tries") {
      forgeries.withLock { $0 } >= 5 || ended.wait(seconds: 0) != nil
    }
    #expect(ended.wait(seconds: 0) == nil, "a forgery ended the worker")
    service.drain()
    #expect(ended.wait(seconds: Pace.patience(quiet: 6)) == "ended")
  }

  @Test("comes back to a coordinator that is full, and not to one that says for good")
  func turnedAway() throws {
    let count = Guarded(0)
    let coordinator = try FakeCoordinator(keys: [Self.key]) { _, _ in
      let cause: TurnedAway.Cause = count.withLock { count in
        count += 1
        return count < 3 ? .full : .backbone
      }
      return [(.turnedAway(TurnedAway(cause, "not you")), 0)]
    }
    let reason = Self.run(try Self.service(coordinator)).wait(seconds: Pace.patience(quiet: 3))
    #expect(reason == "the coordinator turned this worker away: not you")
    #expect(coordinator.connections == 3)
  }

  @Test(
    "comes back after silence, or a frame without an end, with the ledger's head it has seen",
    arguments: [false, true])
  func silence(trickles: Bool) throws {
    let head = AttestedHead(LedgerHead(size: 5, root: SHA256.hash([5])), tag: SHA256.hash([2]))
    let coordinator = try FakeCoordinator(keys: [Self.key], trickles: trickles) { message, _ in
      guard case .hello = message else { return [] }
      return [(.welcome(Stage.recipe(epochs: 1), head), 0)]
    }
    let service = try Self.service(coordinator) { $0.silenceLimit = 300 }
    let ended = Self.run(service)
    try waitUntil("a second connection") { coordinator.connections >= 2 }
    try waitUntil("a hello with the head", seen: coordinator.heard) {
      coordinator.heard.contains {
        if case .hello(let introduction) = $0 { introduction.head == head } else { false }
      }
    }
    service.drain()
    #expect(ended.wait(seconds: Pace.patience(quiet: 3)) == "ended")
  }
}
