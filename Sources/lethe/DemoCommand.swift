import CommandLineKit
import CoordinatorAPI
import Datasets
import Foundation
import HTTP
import Hashing
import Ledger
import Receipts
import ServiceSupport
import SystemIO
import Unlearning

let demoCommand = Command(
  name: "demo", summary: "the guided tour: train, delete, repair, prove, on real text",
  discussion: """
    Starts a coordinator and two workers as processes of their own, trains S3T on the given \
    records, deletes some while predictions go on, repairs, and trains a second run from the \
    retained records alone to compare every block's bytes.
    """,
  options: [
    CommandOption("backbone", .path, placeholder: "DIR", required: true, help: "The backbone."),
    CommandOption(
      "data", .path, placeholder: "FILE", required: true, help: "Records with a test split."),
    CommandOption(
      "directory", .path, placeholder: "DIR", required: true, help: "Where the runs are kept."),
    CommandOption("deletions", .integer(1...100), default: "3", help: "Records to delete."),
    CommandOption("sequences", .integer(1...6), default: "2", help: "Slice orders to train."),
    CommandOption("epochs", .integer(1...50), default: "2", help: "Passes of each stage."),
  ], formats: [.text]
) { arguments, console in
  try Demo(arguments, console).run()
  return .ok
}

/// The tour's steps, each printed as it happens.
private struct Demo {
  let backbone: String
  let data: String
  let directory: String
  let console: Console
  let deletionCount: Int
  let sequences: Int
  let epochs: Int
  let records: DatasetContents
  let start = SystemClock.seconds

  init(_ arguments: ParsedArguments, _ console: Console) throws {
    backbone = absolute(arguments.string("backbone"))
    data = absolute(arguments.string("data"))
    directory = absolute(arguments.string("directory"))
    deletionCount = arguments.integer("deletions")
    sequences = arguments.integer("sequences")
    epochs = arguments.integer("epochs")
    self.console = console
    records = try readDatasetContents(data, labels: nil)
    guard records.training.count > deletionCount, !records.evaluation.isEmpty else {
      throw ServiceError(.badData, "\(data) has no test split", try: "mark some rows split: test")
    }
    guard !FileSystem.exists(directory) else {
      throw ServiceError(.cannotWrite, "\(directory) is there already", try: "choose a new folder")
    }
    try FileSystem.createDirectory(directory)
  }

  private var labels: [String] { Set(records.training.map(\.label)).sorted() }

  private func say(_ text: String) throws {
    let seconds = Humanized.fixed(SystemClock.seconds - start, digits: 1)
    try console.print("[\(seconds) s] \(text)")
  }

  func run() throws {
    try say(
      "\(records.training.count) training and \(records.evaluation.count) test records in "
        + "\(labels.count) classes")
    // A real run draws a random key; the tour is the same every time.
    let key = SHA256.hash(Array("lethe demo".utf8)).hex
    let main = try makeRun("main", data: data, partitionKey: key)
    try say("one coordinator and two workers start, and talk over TCP")
    let processes = try launch(main)
    defer { processes.stopAll() }
    let client = try CoordinatorClient(directory: main.directory)
    let _: RunStatus = try client.post("/v1/train")
    try watch(client, console, timeoutSeconds: 1800)
    let status: RunStatus = try client.get("/v1/status")
    try say("trained \(status.blocks) blocks (m = 3, L = 3, B = \(sequences)):")
    try console.print(speedText(status.stages))
    try say("accuracy of the ensemble on the test records:")
    for depth in 1...3 {
      let value = try accuracy(client, depth: depth)
      try console.print("  depth \(depth)  \(percent(value))\(depth == 3 ? "  (full)" : "")")
    }
    try baselines()
    let deleted = try delete(client)
    try show(client, shardOf: deleted[0])
    try repair(client)
    try certify(client, deleted[0])
    try say("after repair the ensemble is at \(percent(try accuracy(client, depth: 3)))")
    let mainArtifacts = try artifacts(client)
    let report: VerificationReport = try client.post("/v1/verify")
    try say("verify: \(report.keysMatch) of \(report.blocksChecked) keys match the records on disk")
    guard report.problems.isEmpty else {
      throw ServiceError(.failure, "verify found: \(report.problems.joined(separator: "; "))")
    }
    processes.stopAll()
    try compare(mainArtifacts, without: deleted, partitionKey: key)
    try say("done; everything is kept in \(directory)")
  }

  // MARK: - Steps

  private struct Run {
    var file: String
    var directory: String
  }

  private func makeRun(_ name: String, data: String, partitionKey: String) throws -> Run {
    var text = RunFileText(
      name: name, backbone: backbone, data: [data], labels: labels, shards: 3, slices: 3,
      sequences: sequences, seed: 1, partitionKey: partitionKey)
    text.epochs = epochs
    text.repair = #"{ policy: "manual" }"#
    let file = "\(directory)/\(name).json5"
    try FileSystem.replace(file, with: Array(text.text.utf8))
    return Run(file: file, directory: "\(directory)/\(name).lethe")
  }

  private func launch(_ run: Run) throws -> LocalProcesses {
    let processes = try LocalProcesses(
      runFile: run.file, directory: run.directory, logPath: run.file + ".log")
    for _ in 0..<2 { try processes.startWorker() }
    return processes
  }

  private func accuracy(_ client: CoordinatorClient, depth: Int) throws -> Double {
    let rows = records.evaluation.map(\.record)
    let response = try predict(
      rows.map { PredictionRequest.Item(id: $0.id.text, text: $0.text, textPair: $0.textPair) },
      client, maximumDepth: depth)
    let hits = zip(rows, response.predictions).count { $0.0.label == $0.1.label }
    return Double(hits) / Double(rows.count)
  }

  private func percent(_ share: Double) -> String { Humanized.fixed(100 * share, digits: 1) + " %" }

  /// Head alone, and one LoRA on all records: what the ensemble is to be compared with.
  private func baselines() throws {
    let tests = "\(directory)/test.jsonl"
    try FileSystem.replace(tests, with: records.evaluation.flatMap { jsonLine($0.record) })
    try say("beside it, each trained alone on all records by lethe train-block:")
    let arms = [
      (name: "head only", layers: "", epochs: "6"),
      (name: "one LoRA, layers 3-5", layers: "3,4,5", epochs: "2"),
    ]
    let running = try arms.enumerated().map { index, arm in
      try start([
        "train-block", "--backbone", backbone, "--data", data, "--labels",
        labels.joined(separator: ","), "--layers", arm.layers, "--rslora", "--epochs", arm.epochs,
        "--warmup", "0.06", "--output", "\(directory)/baseline-\(index)",
      ])
    }
    for process in running { process.waitUntilExit() }
    for (index, arm) in arms.enumerated() {
      let output = Pipe()
      let process = try start(
        [
          "predict", "--backbone", backbone, "--adapter", "\(directory)/baseline-\(index)",
          "--labels", labels.joined(separator: ","), "--file", tests, "--format", "json",
        ], output: output)
      let bytes = output.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      let response = try JSONDecoder().decode(PredictionResponse.self, from: bytes)
      let hits = zip(records.evaluation, response.predictions).count {
        $0.0.record.label == $0.1.label
      }
      let share = Double(hits) / Double(records.evaluation.count)
      try console.print("  \(arm.name)  \(percent(share))")
    }
  }

  private func start(_ arguments: [String], output: Pipe? = nil) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    process.standardOutput = output ?? FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  /// Deletes records while another thread keeps asking.
  private func delete(_ client: CoordinatorClient) throws -> [Record] {
    // Records spread over the file: nothing about them but their place in it was looked at.
    let step = records.training.count / deletionCount
    let chosen = (0..<deletionCount).map { records.training[$0 * step + step / 2] }
    let loop = PredictionLoop(client, text: records.evaluation[0].record.text)
    SystemClock.sleep(seconds: 0.5)
    var slowest = 0.0
    for record in chosen {
      let response: DeletionResponse = try client.post(
        "/v1/deletions", DeletionRequest(ids: [record.id.text]))
      let item = response.requests[0]
      slowest = max(slowest, item.acknowledgedAfterMs)
      try say(
        "deleted \(item.id): \(item.outcome.rawValue) and \(item.state), "
          + "\(item.blocksMasked) blocks masked, durable after "
          + "\(Humanized.fixed(item.acknowledgedAfterMs, digits: 1)) ms")
    }
    SystemClock.sleep(seconds: 0.5)
    let (answers, errors) = loop.stop()
    try say(
      "meanwhile a prediction loop got \(answers) answers and \(errors.count) errors; slowest "
        + "acknowledgement \(Humanized.fixed(slowest, digits: 1)) ms")
    guard errors.isEmpty else {
      throw ServiceError(.failure, "predictions failed: \(errors[0])")
    }
    return chosen
  }

  private func show(_ client: CoordinatorClient, shardOf record: Record) throws {
    let lineage: RecordLineage = try client.get("/v1/lineage/records?id=\(record.id.text)")
    try say("lineage record \(record.id.text): \(lineage.state)")
    let status: RunStatus = try client.get("/v1/status")
    for shard in status.shards {
      try console.print("  shard \(shard.shard) serves depth \(shard.depth) of \(status.fullDepth)")
    }
    if let masked = status.shards.min(by: { $0.depth < $1.depth }) {
      try console.print(shardText(client.get("/v1/lineage/shards/\(masked.shard)")))
    }
  }

  private func repair(_ client: CoordinatorClient) throws {
    let begin = SystemClock.seconds
    let before: RunStatus = try client.get("/v1/status")
    let _: RunStatus = try client.post("/v1/train")
    try watch(client, console, timeoutSeconds: 1800)
    var list: DeletionList = try client.get("/v1/deletions")
    while list.deletions.contains(where: { $0.state != "certified" }) {
      SystemClock.sleep(seconds: 0.1)
      list = try client.get("/v1/deletions")
    }
    try say(
      "repaired \(before.blocks - before.blocksTrained) blocks in "
        + "\(Humanized.fixed(SystemClock.seconds - begin, digits: 1)) s; deletions: "
        + list.deletions.map { "\($0.deletion) \($0.state)" }.joined(separator: ", "))
  }

  /// Fetches a receipt and holds it to the ledger's head, as its holder would from the two files.
  private func certify(_ client: CoordinatorClient, _ record: Record) throws {
    let bytes = try client.bytes("/v1/receipts?id=\(record.id.text.percentEncoded)")
    let head = String(decoding: try client.bytes("/v1/ledger/checkpoint"), as: UTF8.self)
    let verified = try Receipt.verify(
      bytes, id: record.id.bytes, checkpoint: try Checkpoint(text: head))
    try say(
      "receipt of \(record.id.text): \(verified.receipt.state.rawValue), "
        + "\(verified.receipt.masked.count) blocks masked and replaced; verifies offline against a "
        + "ledger of \(verified.checkpoint.size) entries")
  }

  /// Key and artifact of every block.
  private func artifacts(_ client: CoordinatorClient) throws -> [String: String] {
    var artifacts: [String: String] = [:]
    for shard in 0..<3 {
      let lineage: ShardLineage = try client.get("/v1/lineage/shards/\(shard)")
      for sequence in lineage.sequences {
        for block in sequence.blocks {
          artifacts["\(shard)/\(sequence.sequence)/\(block.stage)"] = block.artifact ?? "none"
        }
      }
    }
    return artifacts
  }

  /// Trains a run that never saw the deleted records, and compares every block's bytes.
  private func compare(
    _ artifacts: [String: String], without deleted: [Record], partitionKey: String
  ) throws {
    try say("a fresh run, from the retained records alone, for comparison:")
    let gone = Set(deleted.map(\.id))
    let retained = records.training.filter { !gone.contains($0.id) }
    let path = "\(directory)/retained.jsonl"
    try FileSystem.replace(path, with: retained.flatMap { jsonLine($0) })
    let fresh = try makeRun("fresh", data: path, partitionKey: partitionKey)
    let processes = try launch(fresh)
    defer { processes.stopAll() }
    let client = try CoordinatorClient(directory: fresh.directory)
    let _: RunStatus = try client.post("/v1/train")
    try watch(client, console, timeoutSeconds: 1800)
    let freshArtifacts = try self.artifacts(client)
    let equal = artifacts.count { freshArtifacts[$0.key] == $0.value }
    try say("\(equal) of \(artifacts.count) block artifacts have the same SHA-256")
    guard equal == artifacts.count else {
      throw ServiceError(.failure, "the repaired run is not the fresh run")
    }
  }
}

/// Asks for predictions without pause until told to stop.
private final class PredictionLoop: Sendable {
  private let state = Guarded<(isStopped: Bool, answers: Int, errors: [String])>((false, 0, []))
  private let ended = Promise<Bool>()

  init(_ client: CoordinatorClient, text: String) {
    BackgroundThread.start("predictions") { [state, ended] in
      while !state.withLock({ $0.isStopped }) {
        do {
          _ = try predict([PredictionRequest.Item(text: text)], client)
          state.withLock { $0.answers += 1 }
        } catch {
          state.withLock { $0.errors.append("\(error)") }
        }
      }
      ended.fulfil(true)
    }
  }

  func stop() -> (answers: Int, errors: [String]) {
    state.withLock { $0.isStopped = true }
    _ = ended.wait()
    return state.withLock { ($0.answers, $0.errors) }
  }
}
