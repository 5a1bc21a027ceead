import CoordinatorAPI
import CoordinatorService
import Foundation
import Hashing
import ServiceSupport
import SystemIO
import Unlearning
import WireFormat

/// A real coordinator with many records and nobody who trains, and deletions one after the other.
///
/// Everything is as in service: HTTP, salts, both copies of the journal synced, the purge of files
/// and the snapshot that ends it. The shape of the run is the same for every number of records.
struct DeletionBenchmark {
  let folder: String
  let recordCount: Int
  let deletionCount: Int
  let clientCount: Int

  private static let warmUpCount = 10
  /// Making millions of records takes minutes.
  private static let startPatienceSeconds = 3_600.0
  private static let purgePatienceSeconds = 600.0

  private var madeUp: MadeUpRun { MadeUpRun(folder: folder, recordCount: recordCount) }
  private var runDirectory: String { madeUp.directory }

  /// Writes the run, has a coordinator make it, starts another on it, and measures that one.
  func run() throws -> DeletionBenchmarkResult.Row {
    let isNew = !FileSystem.exists(madeUp.runFile)
    if isNew { try madeUp.write() }
    let begin = SystemClock.seconds
    let processes = try LocalProcesses(
      runFile: madeUp.runFile, directory: runDirectory, logPath: "\(folder)/log",
      patienceSeconds: Self.startPatienceSeconds)
    defer { processes.killCoordinator() }
    let creationSeconds = SystemClock.seconds - begin
    try pinNumericClass()
    processes.killCoordinator()
    let startSeconds = try seconds { try processes.startCoordinator() }
    let identifier = processes.coordinator.processIdentifier
    let client = try CoordinatorClient(directory: runDirectory)
    var ids = chosenIDs(besides: try status(client).deleted)
    let warmUp = take(Self.warmUpCount, from: &ids)
    _ = try delete(warmUp, by: client)
    try waitUntilCertified(client)
    guard let before = ProcessUsage(of: identifier) else { throw gone }
    let alone = try delete(take(deletionCount, from: &ids), by: client)
    try waitUntilCertified(client)
    guard let after = ProcessUsage(of: identifier) else { throw gone }
    let syncs = try status(client).journalSyncs
    let groupBegin = SystemClock.seconds
    let together = try deleteTogether(take(deletionCount, from: &ids), by: client)
    let elapsed = SystemClock.seconds - groupBegin
    let groupSyncs = try status(client).journalSyncs - syncs
    try waitUntilCertified(client)
    return DeletionBenchmarkResult.Row(
      records: recordCount, creationSeconds: isNew ? creationSeconds : nil,
      startSeconds: startSeconds,
      alone: Spread(millisecondsOf: alone),
      processorMillisecondsPerDeletion:
        1000 * (after.processorSeconds - before.processorSeconds) / Double(deletionCount),
      together: Spread(millisecondsOf: together),
      deletionsPerSecond: Double(deletionCount) / elapsed, groupSyncs: groupSyncs,
      privateResidentMegabytes: Double(before.privateResidentByteCount) / 1e6)
  }

  private var gone: ServiceError {
    ServiceError(.failure, "the coordinator is gone", try: "see \(folder)/log")
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = SystemClock.seconds
    try body()
    return SystemClock.seconds - start
  }

  // MARK: - Records

  /// Has a worker say hello and leave: from then on every deletion changes keys.
  private func pinNumericClass() throws {
    guard let endpoint = try Endpoint.read(from: runDirectory),
      let address = NetworkAddress(endpoint.workers)
    else { throw gone }
    var crowd = BenchmarkCrowd(
      address: address, key: try KeyFile.read("\(runDirectory)/local.key"),
      backbone: try BackboneFiles("\(folder)/backbone"))
    try crowd.connect(1)
  }

  /// Ids all over the run, each once, after those of earlier measurements.
  private func chosenIDs(besides deletedCount: Int) -> [String] {
    var random = SeededGenerator(seed: 1)
    var chosen: Set<Int> = []
    var ids: [String] = []
    while ids.count < deletedCount + Self.warmUpCount + 2 * deletionCount {
      let number = Int(random.next() % UInt64(recordCount))
      if chosen.insert(number).inserted { ids.append(MadeUpRun.id(number)) }
    }
    ids.removeFirst(deletedCount)
    return ids
  }

  private func take(_ count: Int, from ids: inout [String]) -> [String] {
    defer { ids.removeFirst(count) }
    return Array(ids.prefix(count))
  }

  // MARK: - Deletions

  /// Seconds until each was acknowledged, as its client sees it.
  private func delete(_ ids: [String], by client: CoordinatorClient) throws -> [Double] {
    try ids.map { id in
      try seconds {
        let response: DeletionResponse = try client.post(
          "/v1/deletions", CoordinatorAPI.DeletionRequest(ids: [id]))
        guard response.requests.first?.outcome == .accepted else {
          throw ServiceError(.failure, "a deletion was not accepted", try: "see \(folder)/log")
        }
      }
    }
  }

  private func deleteTogether(_ ids: [String], by client: CoordinatorClient) throws -> [Double] {
    let parts = (0..<clientCount).map { part in
      ids.indices.filter { $0 % clientCount == part }.map { ids[$0] }
    }
    let answers = Mailbox<Result<[Double], any Error>>(limit: clientCount)
    for part in parts {
      BackgroundThread.start("client") { [self] in
        answers.put(Result { try delete(part, by: client) })
      }
    }
    var latencies: [Double] = []
    var missing = clientCount
    while missing > 0 {
      for answer in answers.takeAll() {
        latencies += try answer.get()
        missing -= 1
      }
    }
    return latencies
  }

  private func status(_ client: CoordinatorClient) throws -> RunStatus {
    try client.get("/v1/status")
  }

  private func waitUntilCertified(_ client: CoordinatorClient) throws {
    let deadline = SystemClock.seconds + Self.purgePatienceSeconds
    while try status(client).deletionsPending > 0 {
      guard SystemClock.seconds < deadline else {
        throw ServiceError(.failure, "a purge does not end", try: "see \(folder)/log")
      }
      SystemClock.sleep(seconds: 0.05)
    }
  }
}

/// What `lethe bench deletions` prints.
struct DeletionBenchmarkResult: Encodable {
  struct Row: Encodable {
    var records: Int
    /// From the data set to a run that serves; of a run that was there already, nothing.
    var creationSeconds: Double?
    /// Of a coordinator on the run as it lies there.
    var startSeconds: Double
    /// One client, one request at a time.
    var alone: Spread
    /// Of the coordinator alone: acknowledgement, purge, certificate.
    var processorMillisecondsPerDeletion: Double
    /// Many clients at once.
    var together: Spread
    var deletionsPerSecond: Double
    /// Syncs of the journal that the deletions of many clients, and their purges, took.
    var groupSyncs: Int
    /// Memory of the coordinator that no file backs.
    var privateResidentMegabytes: Double
  }

  var deletions: Int
  var clients: Int
  var rows: [Row]
  /// Private memory of the largest run beyond the smallest one's, by record.
  var privateBytesPerRecord: Double?
  /// How much more the largest run takes than the smallest.
  var percentile99Growth: Double?
  var processorGrowth: Double?

  init(deletions: Int, clients: Int, rows: [Row]) {
    self.deletions = deletions
    self.clients = clients
    self.rows = rows
    guard let first = rows.min(by: { $0.records < $1.records }),
      let last = rows.max(by: { $0.records < $1.records }), first.records < last.records
    else { return }
    privateBytesPerRecord =
      1e6 * (last.privateResidentMegabytes - first.privateResidentMegabytes)
      / Double(last.records - first.records)
    percentile99Growth = last.alone.percentile99 / first.alone.percentile99
    processorGrowth =
      last.processorMillisecondsPerDeletion / first.processorMillisecondsPerDeletion
  }
}
