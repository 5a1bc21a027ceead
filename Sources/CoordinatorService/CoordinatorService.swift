import ByteCoding
import CoordinatorCore
import HTTP
import Hashing
import ModelFormats
import ServiceSupport
import Storage
import SystemIO
import Transport
import Unlearning
import WireFormat

/// The coordinator as a process: sockets and files around the state machine.
package final class CoordinatorService: Sendable {
  let directory: RunDirectory
  let loop: CoordinatorLoop
  let log = Log(component: "coordinator")
  private let workerListener: TCPListener
  private let httpServer: HTTPServer
  private let links = Guarded<(last: UInt64, byID: [WorkerID: WorkerLink])>((0, [:]))
  /// Deletions that wait to hear what became of them, by token.
  let decisions = Guarded<(last: UInt64, waiting: [UInt64: Promise<DeletionDecision>])>(
    (0, [:]))
  /// One snapshot at a time.
  let snapshotting = Guarded(())
  /// Files that nothing explains, as last seen.
  private let strays = Guarded<[String]>([])
  /// By when accepted deletions have to be finished, unless a request says otherwise.
  let deadline: DeadlinePolicy
  let recipe: TrainingRecipe
  /// Counts predictions, so that workers take turns.
  let predictionTurn = Guarded<UInt32>(0)
  private let backbone: Digest

  /// Opens or creates the run, binds both addresses and starts the state machine.
  ///
  /// - Throws: `ServiceError`, before anything is listened to.
  package init(_ file: RunFile, base: String) throws {
    let run = try OpenedRun(file, base: base, log: log)
    deadline = try file.deadlinePolicy()
    directory = run.directory
    recipe = run.state.run.recipe
    backbone = run.state.run.backbone
    let last = try Endpoint.read(from: directory.path)
    workerListener = try Self.listen(
      "coordinator.workers", file.coordinator.workers, last: last?.workers
    ) { try TCPListener($0) }
    httpServer = try Self.listen(
      "coordinator.http", file.coordinator.http, last: last?.http
    ) { try HTTPServer($0) }
    loop = CoordinatorLoop(saltPath: directory.saltPath, log: log)
    let coordinator = Coordinator(run.state, auditShare: try file.auditShare())
    // Opened for this loop alone; nobody else has them.
    nonisolated(unsafe) let (journal, salts) = (run.journal, run.salts)
    let (server, decisions) = (httpServer, decisions)
    loop.start(
      coordinator, journal: journal, salts: salts,
      requestsOnTheirWay: { server.openCount > decisions.withLock { $0.waiting.count } },
      perform: { [unowned self] in perform($0) })
    loop.post(.started)
  }

  /// - Parameter last: Where the coordinator before this one listened. With port 0 its port is
  ///   taken again if it is free, so that workers find the run where they left it.
  private static func listen<Listener>(
    _ field: String, _ text: String, last: String?, _ bind: (NetworkAddress) throws -> Listener
  ) throws -> Listener {
    guard let address = NetworkAddress(text) else {
      throw ServiceError(
        .configuration, "\(field) is \"\(text)\", not host:port", try: "write 127.0.0.1:7420")
    }
    guard address.isLoopback else {
      throw ServiceError(
        .configuration, "\(field) is \(address), which other machines can reach",
        try: "listen on 127.0.0.1: this version has no keys for workers yet")
    }
    if address.port == 0, let last = last.flatMap({ NetworkAddress($0) }),
      last.host == address.host, let listener = try? bind(last)
    {
      return listener
    }
    do {
      return try bind(address)
    } catch let error as SystemCallError {
      throw ServiceError(
        .unavailable, "cannot listen on \(address): \(error)",
        try: error.isAddressInUse
          ? "stop the program that uses the port, or write another port in the run file" : nil)
    }
  }

  /// Serves until the process ends.
  package func run() throws {
    let endpoint = Endpoint(
      workers: "\(workerListener.address)", http: "\(httpServer.address)",
      processIdentifier: SystemProcess.identifier)
    try endpoint.write(to: directory.path)
    log.write("ready", "workers \(workerListener.address), http \(httpServer.address)")
    BackgroundThread.start("ticker") { [self] in
      var shown: UInt64 = 0
      while true {
        SystemClock.sleep(seconds: 0.25)
        loop.post(.ticked)
        let head = loop.inspect { $0.state.ledger.head }
        if head.size > shown { for link in currentLinks { link.send(.head(head)) } }
        shown = head.size
      }
    }
    BackgroundThread.start("housekeeper") { [self] in keepHouse() }
    BackgroundThread.start("http-accept") { [self] in
      do {
        try httpServer.serve { [self] in answer($0) }
      } catch {
        log.write("http_stopped", "\(error)")
        SystemProcess.exitAtOnce(1)
      }
    }
    while true {
      let connection = try workerListener.accept()
      BackgroundThread.start("worker-reader") { [self] in converse(connection) }
    }
  }
}

// MARK: - Housekeeping

extension CoordinatorService {
  private static let housekeepingSeconds = 10.0
  /// Entries after which a snapshot makes the next start quick.
  private static let entriesBetweenSnapshots: UInt64 = 50_000

  private func keepHouse() {
    var snapshotSequence = loop.view { $0.sequence }
    while true {
      do {
        let found = try uncataloguedFiles()
        for path in found where !strays.withLock({ $0.contains(path) }) {
          log.write("uncatalogued_file", path)
        }
        strays.withLock { $0 = found }
        let sequence = loop.view { $0.sequence }
        if sequence - snapshotSequence > Self.entriesBetweenSnapshots {
          try snapshot()
          snapshotSequence = sequence
        }
      } catch {
        log.write("housekeeping_failed", "\(error)")
      }
      SystemClock.sleep(seconds: Self.housekeepingSeconds)
    }
  }

  /// What an operator must look at, besides what the coordinator itself has noticed.
  func fileAlarms() -> [String] {
    strays.withLock { $0.map { "\($0) is in no catalogue: nothing explains it" } }
  }
}

// MARK: - Workers

extension CoordinatorService {
  private static let maximumWorkerCount = 256

  private func converse(_ connection: TCPConnection) {
    guard let (id, introduction) = welcome(connection) else { return connection.shutDown() }
    let link = WorkerLink(id: id, connection)
    links.withLock { $0.byID[id] = link }
    link.send(.welcome(recipe, loop.inspect { $0.state.ledger.head }))
    loop.post(.workerJoined(id, introduction))
    log.write("worker_joined", "\(introduction.name) as \(id.number)")
    do {
      try link.readMessages { [self] message, request in
        handle(message, request: request, from: link)
      }
    } catch {
      log.write("worker_connection_failed", "\(introduction.name): \(error)")
    }
    _ = links.withLock { $0.byID.removeValue(forKey: id) }
    link.close()
    loop.post(.workerLeft(id))
    log.write("worker_left", introduction.name)
  }

  /// Hears a worker's hello; tells it why if it cannot be taken.
  private func welcome(_ connection: TCPConnection) -> (WorkerID, Introduction)? {
    connection.setTimeout(seconds: 5)
    let refusal: String
    do {
      guard let frame = try connection.readFrame(limit: Frame.maximumHelloByteCount),
        case .hello(let introduction) = try WireMessage(frame)
      else { return nil }
      let count = links.withLock { $0.byID.count }
      if introduction.backbone != backbone {
        refusal = "your backbone is \(introduction.backbone); this run is over \(backbone)"
      } else if count >= Self.maximumWorkerCount {
        refusal = "there are \(count) workers already"
      } else {
        connection.setTimeout(seconds: 60)
        let number = links.withLock { links in
          links.last += 1
          return links.last
        }
        return (WorkerID(number), introduction)
      }
    } catch {
      refusal = "hello was not understood: \(error)"
    }
    log.write("worker_turned_away", refusal)
    try? connection.write(WireMessage.turnedAway(TurnedAway(.backbone, refusal)).frame().encoded)
    return nil
  }

  private func handle(_ message: WireMessage, request: UInt64, from link: WorkerLink) {
    switch message {
    case .requestWork: loop.post(.workRequested(link.id))
    case .heartbeat(let epoch, let progress):
      loop.post(.heartbeat(link.id, epoch: epoch, progress))
    case .fetchSlice(let reference): link.send(slice(reference), request: request)
    case .fetchArtifact(let digest): link.send(artifact(digest), request: request)
    case .upload(let epoch, let key, let work, let bytes):
      receive(bytes, epoch: epoch, key: key, work: work, from: link)
    case .failed(let epoch, let failure):
      if failure.kind != .cancelled { log.write("block_failed", failure.reason) }
      loop.post(.failed(link.id, epoch: epoch, failure))
    case .forgotten(let number):
      loop.post(.purgeConfirmed(link.id, throughDeletion: number))
    case .draining: loop.post(.draining(link.id))
    case .checkpoint, .fetchCheckpoint: break
    case .hello, .predictions, .predictionFailed, .welcome, .head, .turnedAway, .lease, .cancel,
      .heard, .uploadAccepted, .uploadRefused, .slice, .artifact, .unavailable, .forget, .predict:
      log.write("unexpected_message", "worker \(link.id.number)")
      link.close()
    }
  }

  private func slice(_ reference: SliceReference) -> WireMessage {
    let location = reference.location
    let state = loop.inspect { coordinator -> RunState? in
      let plan = coordinator.state.plan
      guard (0..<plan.shardCount).contains(location.shard),
        (0..<plan.sliceCount).contains(location.slice)
      else { return nil }
      return coordinator.state
    }
    guard let state, state.slices[location.shard][location.slice].digest == reference.digest else {
      return .unavailable("the slice has changed since the lease was granted")
    }
    do {
      return .slice(try directory.liveRecords(reference.location, state).map(\.encoded))
    } catch {
      log.write("slice_unreadable", "\(error)")
      return .unavailable("the slice cannot be read")
    }
  }

  /// An artifact's bytes, if a block that can serve has them.
  func artifact(_ digest: Digest) -> WireMessage {
    let isLive = loop.inspect { $0.state.artifactUses[digest] != nil }
    guard isLive else { return .unavailable("no block has this artifact any more") }
    do {
      return .artifact(try directory.artifacts.get(digest))
    } catch {
      log.write("artifact_unreadable", "\(error)")
      return .unavailable("the artifact cannot be read")
    }
  }

  /// Checks and stores trained bytes; storing happens in the loop's order, so that a purge and the
  /// commit of the same bytes cannot pass each other.
  private func receive(
    _ bytes: [UInt8], epoch: UInt64, key: BlockKey, work: TrainingWork, from link: WorkerLink
  ) {
    do {
      let file = try SafetensorsFile(bytes)
      for tensor in file.tensors { try file.checkFinite(tensor) }
    } catch {
      link.send(.uploadRefused(epoch: epoch, .invalidArtifact))
      let reason = "the artifact is not valid: \(error)"
      return loop.post(.failed(link.id, epoch: epoch, Failure(kind: .host, reason: reason)))
    }
    loop.post(preparing: { [self] in
      do {
        let digest = try directory.artifacts.put(bytes)
        return .uploaded(
          link.id,
          Upload(
            epoch: epoch, key: key, artifact: digest, byteCount: UInt64(bytes.count), work: work))
      } catch {
        log.write("artifact_not_stored", "\(error)")
        link.send(.uploadRefused(epoch: epoch, .staleLease))
        let reason = "the coordinator could not store the artifact"
        return .failed(link.id, epoch: epoch, Failure(kind: .retryable, reason: reason))
      }
    })
  }

  /// A worker that answers predictions, a different one each time.
  func servingLink(turn: Int) -> WorkerLink? {
    let serving = loop.inspect { coordinator in
      coordinator.workers.filter { $0.value.introduction.roles.contains(.serve) }.keys.sorted()
    }
    return links.withLock { links in
      let present = serving.compactMap { links.byID[$0] }
      return present.isEmpty ? nil : present[turn % present.count]
    }
  }
}

// MARK: - Effects

extension CoordinatorService {
  private func perform(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .grant(let id, let grant): link(id)?.send(.lease(grant))
      case .heard(let id, let epoch): link(id)?.send(.heard(epoch: epoch))
      case .discardCheckpoint: break
      case .cancel(let id, let epoch): link(id)?.send(.cancel(epoch: epoch))
      case .accepted(let id, let epoch): link(id)?.send(.uploadAccepted(epoch: epoch))
      case .refused(let id, let epoch, let refusal):
        link(id)?.send(.uploadRefused(epoch: epoch, refusal))
      case .forget(let id, let number, let artifacts):
        link(id)?.send(.forget(throughDeletion: number, artifacts: artifacts))
      case .deletionDecided(let token, let decision):
        decisions.withLock { $0.waiting.removeValue(forKey: token) }?.fulfil(decision)
      case .discard(let artifact):
        do {
          try directory.artifacts.remove(artifact)
        } catch {
          log.write("discard_failed", "\(error)")
        }
      case .purge(let order): BackgroundThread.start("purge") { [self] in purge(order) }
      }
    }
  }

  private var currentLinks: [WorkerLink] { links.withLock { $0.byID.values.map { $0 } } }

  private func link(_ id: WorkerID) -> WorkerLink? { links.withLock { $0.byID[id] } }
}
