import ByteCoding
import CoordinatorCore
import Hashing
import Numerics
import ServiceSupport
import SystemIO
import Training
import Transport
import Unlearning
import WireFormat

/// A worker process: connects, trains what it is leased, answers what it is asked, reconnects.
package final class WorkerService: Sendable {
  package struct Settings: Sendable {
    package var coordinator: NetworkAddress
    package var backboneFolder: String
    package var roles: Set<WorkerRole>

    package init(coordinator: NetworkAddress, backboneFolder: String, roles: Set<WorkerRole>) {
      self.coordinator = coordinator
      self.backboneFolder = backboneFolder
      self.roles = roles
    }
  }

  private let settings: Settings
  private let model: LoadedModel
  private let introduction: Introduction
  /// The furthest ledger head any coordinator has shown; it outlives sessions.
  private let seenHead = Guarded<LedgerHead?>(nil)
  private let log = Log(component: "worker")

  /// Loads the backbone; the numeric class is measured once, as it cannot change within a process.
  package init(_ settings: Settings) throws {
    self.settings = settings
    model = try LoadedModel(folder: settings.backboneFolder)
    let host = SystemProcess.hostName
    introduction = Introduction(
      name: "\(host)-\(SystemProcess.identifier)", host: host,
      numericClass: NumericClass.current().identifier, backbone: model.files.digest,
      roles: settings.roles)
  }

  /// Works until the coordinator turns this worker away for good.
  package func run() throws {
    var pause = 0.2
    while true {
      do {
        let connection = try TCPConnection.connect(to: settings.coordinator)
        pause = 0.2
        // Caches live and die with a session: whatever was deleted while this worker was away, it
        // comes back knowing nothing.
        var introduction = introduction
        introduction.head = seenHead.withLock { $0 }
        let session = WorkerSession(
          connection, model: model, introduction: introduction, log: log
        ) { [seenHead] head in
          seenHead.withLock { seen in if head.size >= seen?.size ?? 0 { seen = head } }
        }
        try session.run()
        log.write("disconnected", "\(settings.coordinator)")
      } catch let refusal as TurnedAway {
        throw ServiceError(
          .configuration, "the coordinator turned this worker away: \(refusal.reason)",
          try: "give the worker the run's own backbone and version of lethe")
      } catch {
        log.write("connection_failed", "\(error); trying again")
      }
      SystemClock.sleep(seconds: pause)
      pause = min(pause * 2, 5)
    }
  }
}
