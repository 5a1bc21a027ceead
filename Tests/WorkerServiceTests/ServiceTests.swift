import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
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
    _ coordinator: FakeCoordinator, key: PeerKey = key,
    change: (inout WorkerMachine.Settings) -> Void = { _ in }
  ) throws -> WorkerService {
    var settings = WorkerService.Settings(
      coordinator: coordinator.address, backboneFolder: Stage.backbone, roles: [.train, .serve],
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

  static func waitUntil(_ isTrue: () -> Bool) -> Bool {
    for _ in 0..<600 {
      if isTrue() { return true }
      SystemClock.sleep(seconds: 0.05)
    }
    return false
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
    #expect(Self.waitUntil { coordinator.heard.contains(.forgotten(throughDeletion: 4)) })
    service.drain()
    #expect(ended.wait(seconds: 10) == "ended")
    var uploads: [[UInt8]] = []
    for case .upload(3, Stage.assignment.key, _, let artifact) in coordinator.heard {
      uploads.append(artifact)
    }
    #expect(uploads == [whole.artifact])
    #expect(Self.waitUntil { coordinator.heard.last == .draining })
  }

  @Test("a drained stage is finished by the next worker, to the same bits")
  func handsOver() throws {
    let epochs = 3000
    let whole = try Stage.train(epochs: epochs)
    let kept = Guarded<(step: UInt32, state: [UInt8])?>(nil)
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
        return []
      case .upload(let epoch, _, _, _): return [(.uploadAccepted(epoch: epoch), 0)]
      default: return []
      }
    }
    func isChecked(_ message: WireMessage) -> Bool {
      if case .checkpoint = message { true } else { false }
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
    let first = try Self.service(coordinator) { $0.checkpointInterval = 100 }
    let firstEnded = Self.run(first)
    try #require(Self.waitUntil { coordinator.heard.contains(where: isChecked) })
    let before = kept.withLock { $0?.step } ?? 0
    first.drain()
    #expect(firstEnded.wait(seconds: 10) == "ended")
    let isReturned = Self.waitUntil {
      coordinator.heard.contains {
        $0 == .failed(epoch: 1, Failure(kind: .cancelled, reason: "draining"))
      }
    }
    try #require(isReturned && uploads().isEmpty, "the stage was over before the drain")
    #expect(kept.withLock { $0!.step } > before, "the last step is handed over")
    let second = try Self.service(coordinator)
    let secondEnded = Self.run(second)
    try #require(Self.waitUntil { !uploads().isEmpty })
    second.drain()
    #expect(secondEnded.wait(seconds: 10) == "ended")
    #expect(uploads()[0].epoch == 2 && uploads()[0].artifact == whole.artifact)
    #expect(uploads()[0].work.steps == whole.work.steps)
  }

  @Test("a wrong key is told soon to a worker that was never welcome")
  func wrongKey() throws {
    let coordinator = try FakeCoordinator(keys: []) { _, _ in [] }
    let reason = Self.run(try Self.service(coordinator)).wait(seconds: 10)
    #expect(reason?.contains("does not know the secret") == true)
    #expect(coordinator.heard.isEmpty && coordinator.connections == 3)
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
    let reason = Self.run(try Self.service(coordinator)).wait(seconds: 20)
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
    #expect(Self.waitUntil { coordinator.connections >= 2 })
    #expect(
      Self.waitUntil {
        coordinator.heard.contains {
          if case .hello(let introduction) = $0 { introduction.head == head } else { false }
        }
      })
    service.drain()
    #expect(ended.wait(seconds: 10) == "ended")
  }
}
