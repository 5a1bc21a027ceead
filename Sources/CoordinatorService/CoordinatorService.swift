import CoordinatorAPI
import CoordinatorCore
import Foundation
import HTTP
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning
import WireFormat

/// The coordinator as a process: sockets and files around the state machine.
///
/// One thread decides (`CoordinatorLoop`), one serves all worker connections (`WorkerPort`), a few
/// read and store for them (`WorkLanes`), and one answers each HTTP request.
package final class CoordinatorService: Sendable {
  let directory: RunDirectory
  /// What is known of every record, live or waiting for its purge.
  let table: RecordTable
  let loop: CoordinatorLoop
  let log: Log
  private let workerListener: TCPListener
  private let httpServer: HTTPServer
  /// Names under which HTTP is asked for, besides addresses and localhost.
  let hostNames: Set<String>
  let limits: WorkerLimits
  let lanes = WorkLanes(threadCount: WorkerLimits.workThreads)
  /// Removals that nobody waits for.
  let discards: WorkLanes.Lane
  let members = Guarded(Membership())
  let uploads = UploadBudget()
  /// Judges what is handed in; `nil` where the backbone's shape cannot be read.
  let gate: UploadGate?
  /// What workers handed in that was refused.
  let misconduct = Guarded(Misconduct())
  /// What the start has found that an operator must look at.
  let openingAlarms: [String]
  let intake: ArtifactIntake
  /// Who is storing a checkpoint, so that a purge can wait for those who began before it.
  let checkpointWriters = ReaderGate()
  /// The key that everybody knows is accepted.
  let isInDevelopment: Bool
  /// Deletions that wait to hear what became of them, by token.
  let decisions = Guarded<(last: UInt64, waiting: [UInt64: Promise<DeletionDecision>])>(
    (0, [:]))
  /// Where exports and backups may lie.
  let outside: OutsideFolders
  /// A few, so that one export whose disk hangs keeps no other.
  let exportLanes = WorkLanes(threadCount: 4)
  /// Keys of workers that were cut off.
  let fences = Fences()
  let storing = StoringHealth()
  /// One snapshot at a time.
  let snapshotting = Guarded(())
  /// Files that nothing explains, as last seen.
  private let strays = Guarded<[String]>([])
  /// Salts that are missing, with what was looked at to know it.
  private let lostSalts = Guarded<(size: Int, register: SaltRegister, lost: [UInt64])>(
    (-1, SaltRegister(), []))
  /// By when accepted deletions have to be finished, unless a request says otherwise.
  let deadline: DeadlinePolicy
  /// How shards' answers become one, unless a question says otherwise.
  let aggregation: Aggregation
  /// Which of a shard's prefixes answer, unless a question says otherwise.
  let serving: ServingRule
  let recipe: TrainingRecipe
  /// Counts predictions, so that workers take turns.
  let predictionTurn = Guarded<UInt32>(0)
  let backbone: Digest
  /// What workers must have: the backbone, with the starting adapter if there is one.
  let model: Digest
  let requestLog = Guarded(RequestLog())
  /// Who is told of changes.
  private let webhooks: [Webhook]
  let webhookFigures = Guarded(WebhookFigures())
  /// What the stream of events last looked at, and when.
  let latestDocuments = Guarded<(at: Double, documents: [EventDocument])>((-.infinity, []))

  /// Opens or creates the run, binds both addresses and starts the state machine.
  ///
  /// - Throws: `ServiceError` or `RunFileError`, before anything is listened to.
  package init(_ file: RunFile, base: String, log: Log) throws {
    self.log = log
    let settings = try CoordinatorSettings(file, base: base)
    webhooks = settings.webhooks
    deadline = settings.deadline
    aggregation = settings.aggregation
    serving = settings.serving
    isInDevelopment = settings.isInDevelopment
    hostNames = settings.httpNames
    let run = try OpenedRun(file, base: base, log: log)
    gate = run.gate
    openingAlarms = run.alarms
    var limits = WorkerLimits(
      maximumWorkers: settings.maximumWorkers,
      descriptorLimit: SystemProcess.raiseDescriptorLimit())
    if let gate { limits.contents = gate.limits(recordCount: run.state.recordCount) }
    self.limits = limits
    directory = run.directory
    outside = OutsideFolders(
      exports: settings.exportFolders, backups: settings.backupFolders,
      own: [run.directory.path, run.directory.journalFolders.0, run.directory.journalFolders.1])
    table = run.records.table
    intake = ArtifactIntake(run.directory.artifacts, log: log)
    recipe = run.state.run.recipe
    backbone = run.state.run.backbone
    model = LineageDigest.model(
      backbone: backbone, startingAdapter: run.state.run.recipe.startingAdapter)
    discards = lanes.makeLane()
    // Read once, so that a file that others may read stops the start instead of a worker.
    _ = try directory.keys.all()
    try directory.keys.makeLocalKey()
    let last = try Endpoint.read(from: directory.path)
    workerListener = try Listening.start(settings.workers, last: last?.workers) {
      try TCPListener($0)
    }
    httpServer = try Listening.start(settings.http, last: last?.http) { try HTTPServer($0) }
    loop = CoordinatorLoop(saltPath: directory.saltPath, log: log)
    let coordinator = Coordinator(
      run.state, records: run.records, auditShare: settings.auditShare,
      checkpoints: directory.checkpoints.all)
    // Opened for this loop alone; nobody else has them.
    nonisolated(unsafe) let (journal, salts) = (run.journal, run.salts)
    let (server, decisions) = (httpServer, decisions)
    loop.start(
      coordinator, journal: journal, salts: salts,
      requestsOnTheirWay: { server.openCount > decisions.withLock { $0.waiting.count } },
      perform: { [unowned self] in perform($0, isUsed: $1) })
    loop.post(.started)
  }

  /// Serves until the process ends.
  package func run() throws {
    // Before anybody can change anything: a receiver that is new hears of all changes from here on.
    for hook in webhooks { try WebhookSender(hook, self).start() }
    let port = try WorkerPort(
      workerListener, limits, lanes, uploads, log: log, handlers: portHandlers())
    let endpoint = Endpoint(
      workers: "\(workerListener.address)", http: "\(httpServer.address)",
      processIdentifier: SystemProcess.identifier)
    try endpoint.write(to: directory.path)
    noteReach()
    log.write(.ready, "workers \(workerListener.address), http \(httpServer.address)")
    let manager = ServiceManager(environment: ProcessInfo.processInfo.environment)
    manager?.say("READY=1\nSTATUS=workers \(workerListener.address), http \(httpServer.address)")
    BackgroundThread.start("ticker") { [self] in
      var shown: UInt64 = 0
      while true {
        SystemClock.sleep(seconds: 0.25)
        loop.post(.ticked)
        cutRevoked()
        let asked = SystemClock.seconds
        let head = loop.inspect { $0.state.ledger.head }
        loop.times.withLock { $0.questions.add(seconds: SystemClock.seconds - asked) }
        if head.size > shown {
          let attested = directory.attest(head)
          for link in currentLinks { link.send(.head(attested)) }
        }
        shown = head.size
        // The loop has just answered: whoever watches may know.
        manager?.feedWatchdog()
      }
    }
    BackgroundThread.start("housekeeper") { [self] in keepHouse() }
    BackgroundThread.start("http-accept") { [self] in
      do {
        try httpServer.serve(httpHandler)
      } catch {
        log.write(.httpStopped, nil, [.error: Log.Value(error)])
        SystemProcess.exitAtOnce(1)
      }
    }
    try port.run()
  }

  /// Says what an operator must know about who can connect.
  private func noteReach() {
    if isInDevelopment {
      log.write(
        .developmentMode,
        "every process of this machine may connect as a worker, and gets records")
    }
    if !workerListener.address.isLoopback {
      log.write(
        .listeningBeyondLoopback,
        "workers are authenticated, but nothing is encrypted; see Deploy/tls")
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
      lookForRoom()
      do {
        let found = try uncataloguedFiles()
        for path in found where !strays.withLock({ $0.contains(path) }) {
          log.write(.uncataloguedFile, path)
        }
        strays.withLock { $0 = found }
        lookAtSalts()
        let sequence = loop.view { $0.sequence }
        if sequence - snapshotSequence > Self.entriesBetweenSnapshots {
          try snapshot()
          snapshotSequence = sequence
        }
      } catch {
        log.write(.housekeepingFailed, nil, [.error: Log.Value(error)])
      }
      SystemClock.sleep(seconds: Self.housekeepingSeconds)
    }
  }

  /// What an operator must look at, besides what the coordinator itself has noticed.
  func fileAlarms() -> [String] { strayAlarms() + [saltAlarm].compactMap { $0 } }

  func strayAlarms() -> [String] {
    strays.withLock { $0.map { "\($0) is in no catalogue: nothing explains it" } }
  }

  /// Salts that should be there and are not, as of the last look.
  var saltAlarm: String? { OpenedRun.lostSalts(lostSalts.withLock { $0.lost }) }

  /// Reads the file only when its size or what should be in it has changed.
  func lookAtSalts() {
    let register = loop.inspect { $0.state.salts }
    let size = (try? FileSystem.byteCount(directory.saltPath)) ?? -1
    let isAsBefore = lostSalts.withLock { $0.size == size && $0.register == register }
    guard !isAsBefore else { return }
    let lost = register.lost(from: (try? SaltStore.read(directory.saltPath)) ?? [:])
    lostSalts.withLock { $0 = (size, register, lost) }
  }
}
