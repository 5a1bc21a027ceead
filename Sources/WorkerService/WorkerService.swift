import CoordinatorCore
import Hashing
import Numerics
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WireFormat
import WorkerCore

/// A worker process: connects, trains what it is leased, answers what it is asked, reconnects.
package final class WorkerService: Sendable {
  package struct Settings: Sendable {
    package var coordinator: NetworkAddress
    package var backboneFolder: String
    package var startingAdapterFolder: String?
    package var roles: Set<WorkerRole>
    /// Proves this worker to the coordinator, and the coordinator to it.
    package var key: PeerKey
    package var session = WorkerMachine.Settings()
    /// What a session may keep of its records' activations between leases.
    package var cacheByteLimit = RecordMemory.segmentByteLimit
    /// Who hears that the worker is ready, and that it is not stuck.
    package var manager: ServiceManager?

    package init(
      coordinator: NetworkAddress, backboneFolder: String, roles: Set<WorkerRole>, key: PeerKey
    ) {
      self.coordinator = coordinator
      self.backboneFolder = backboneFolder
      self.roles = roles
      self.key = key
    }
  }

  private struct Current: Sendable {
    var isDraining = false
    var session: WorkerSession?
  }

  private let settings: Settings
  private let model: LoadedModel
  private let introduction: Introduction
  /// The furthest ledger head any coordinator has shown; it outlives sessions.
  private let seenHead = Guarded<AttestedHead?>(nil)
  private let current = Guarded(Current())
  private let ending = Promise<Result<Void, any Error>>()
  private let log: Log

  /// Loads the backbone; the numeric class is measured once, as it cannot change within a process.
  package init(_ settings: Settings, log: Log = Log(component: "worker")) throws {
    self.settings = settings
    self.log = log
    model = try LoadedModel(
      folder: settings.backboneFolder,
      adapter: settings.startingAdapterFolder.map { try AdapterFiles($0) })
    let host = SystemProcess.hostName
    introduction = Introduction(
      name: "\(host)-\(SystemProcess.label)", host: host,
      numericClass: NumericClass.current().identifier, backbone: model.digest,
      roles: settings.roles)
  }

  /// Works until it is drained, or until the coordinator turns this worker away for good.
  package func run() throws {
    BackgroundThread.start("worker") { [self] in ending.fulfil(Result { try work() }) }
    try ending.wait().get()
  }

  /// Hands over what is under way, and lets `run` return.
  package func drain() {
    settings.manager?.say("STOPPING=1\nSTATUS=handing over")
    let session = current.withLock { current in
      current.isDraining = true
      return current.session
    }
    guard let session else { return ending.fulfil(.success(())) }
    log.write(.draining)
    session.drain()
  }

  private func work() throws {
    var backoff = Backoff()
    var attempts = Attempts()
    // Not once it is connected: a coordinator that comes later is no reason to fail.
    settings.manager?.say("READY=1\nSTATUS=connecting to \(settings.coordinator)")
    while !current.withLock({ $0.isDraining }) {
      settings.manager?.feedWatchdog()
      do {
        let connection = try TCPConnection.connect(to: settings.coordinator)
        guard let (outcome, wasWelcome) = serve(connection) else { return }
        if wasWelcome { backoff = Backoff() }
        switch attempts.verdict(after: outcome, wasWelcome: wasWelcome) {
        case .end(let error): throw error
        case .tryAgain: log.write(.disconnected, "\(settings.coordinator): \(outcome.text)")
        case .tryAgainSaying(let error):
          let hint = error.hint.map { "; \($0)" } ?? ""
          log.write(
            .unprovenRefusal,
            "\(settings.coordinator), which has proved no key: \(error.message)\(hint)")
        }
        settings.manager?.say("STATUS=disconnected, trying again: \(outcome.text)")
      } catch let error as SystemCallError {
        log.write(.connectionFailed, nil, [.error: Log.Value(error)])
      }
      SystemClock.sleep(seconds: backoff.next(jitter: SystemRandom.bytes(count: 1)[0]))
    }
  }

  /// One session; `nil` when the worker is to end instead.
  private func serve(_ connection: TCPConnection)
    -> (outcome: WorkerSession.Outcome, wasWelcome: Bool)?
  {
    // Caches live and die with a session: whatever was deleted while this worker was away, it
    // comes back knowing nothing.
    var introduction = introduction
    introduction.head = seenHead.withLock { $0 }
    let session = WorkerSession(
      connection, key: settings.key, introduction: introduction, model: model,
      settings: settings.session, cacheByteLimit: settings.cacheByteLimit,
      manager: settings.manager, log: log
    ) { [seenHead] head in
      seenHead.withLock { seen in if head.head.size >= seen?.head.size ?? 0 { seen = head } }
    }
    let mayBegin = current.withLock { current in
      if !current.isDraining { current.session = session }
      return !current.isDraining
    }
    guard mayBegin else { return nil }
    defer { current.withLock { $0.session = nil } }
    return session.run()
  }
}
