import CoordinatorAPI
import Foundation
import TestKit
import Testing

/// A run over the tiny BERT in a folder of its own, with real processes that talk over TCP.
final class TestRun {
  let folder: URL
  let runFile: String
  private(set) var coordinator: Process?
  private(set) var workers: [Process] = []

  static let partitionKey = String(repeating: "5a", count: 32)

  /// Sixty short records in three classes, the same on every call.
  static let records: [(id: String, text: String, label: String)] = (0..<60).map { index in
    let words = [
      "bird", "tree", "bread", "stone", "river", "small", "green", "old", "house", "animal",
    ]
    let text = (0..<(3 + index % 7)).map { words[(index * 7 + $0 * $0 * 3) % words.count] }
    return ("r\(index)", text.joined(separator: " "), ["a", "b", "c"][index % 3])
  }

  static func jsonLines(without gone: Set<String> = []) -> String {
    records.filter { !gone.contains($0.id) }.map {
      #"{"id":"\#($0.id)","text":"\#($0.text)","label":"\#($0.label)"}"# + "\n"
    }.joined()
  }

  init(
    records: String = TestRun.jsonLines(), epochs: Int = 4, repair: String = #"{policy: "eager"}"#,
    shards: Int = 2, coordinator: String? = nil, labels: String = "a,b,c",
    backbone: String = Lethe.backbone
  ) throws {
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    runFile = folder.appendingPathComponent("run.json5").path
    let data = folder.appendingPathComponent("records.jsonl")
    try Data(records.utf8).write(to: data)
    let made = try Lethe.run([
      "init", "--data", data.path, "--backbone", backbone, "--labels", labels, "--shards",
      "\(shards)", "--slices", "2", "--sequences", "2", "--partition-key", Self.partitionKey,
      "--output",
      runFile,
    ])
    try #require(made.status == 0, "\(made.errors)")
    var text = try String(contentsOfFile: runFile, encoding: .utf8)
    text = text.replacingOccurrences(
      of: #"{ policy: "batched", quietSeconds: 5, maximumAgeSeconds: 60 }"#, with: repair)
    text = text.replacingOccurrences(of: "epochs: 3", with: "epochs: \(epochs)")
    text = text.replacingOccurrences(
      of: #""run.lethe""#, with: "\"\(folder.appendingPathComponent("data").path)\"")
    if let coordinator {
      text = text.replacingOccurrences(of: "auditShare: 0,", with: "auditShare: 0, \(coordinator),")
    }
    try Data(text.utf8).write(to: URL(fileURLWithPath: runFile))
  }

  /// Changes the run file.
  func edit(_ text: String, to replacement: String, first: Bool = false) throws {
    let file = URL(fileURLWithPath: runFile)
    var contents = try String(contentsOf: file, encoding: .utf8)
    let range = try #require(contents.range(of: text))
    if first {
      contents.replaceSubrange(range, with: replacement)
    } else {
      contents = contents.replacingOccurrences(of: text, with: replacement)
    }
    try Data(contents.utf8).write(to: file)
  }

  deinit {
    stop()
    try? FileManager.default.removeItem(at: folder)
  }

  var log: String {
    (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? ""
  }

  /// - Parameters:
  ///   - descriptorLimit: Descriptors the process may have.
  ///   - options: Of the coordinator, besides the run file.
  func startCoordinator(
    under tracing: [String]? = nil, descriptorLimit: Int? = nil, options: [String] = []
  ) throws {
    let limiting = descriptorLimit.map { ["prlimit", "--nofile=\($0):\($0)"] }
    let process = try Lethe.start(
      ["coordinator", "--run", runFile] + options,
      under: tracing.map { ["strace"] + $0 } ?? limiting,
      log: folder.appendingPathComponent("log"))
    coordinator = process
    let endpoint = folder.appendingPathComponent("data/endpoint.json")
    try waitUntil("a coordinator that is ready", seen: log) {
      guard process.isRunning else { return true }
      let text = try? String(contentsOf: endpoint, encoding: .utf8)
      return text?.contains("\"processIdentifier\" : \(process.processIdentifier)") == true
    }
    if !process.isRunning { Issue.record("the coordinator did not start: \(log)") }
  }

  /// What a coordinator says that does not start.
  func refusedCoordinator() throws -> Lethe.Output {
    try Lethe.refused(["coordinator", "--run", runFile]) { $0.contains("\"event\":\"ready\"") }
  }

  /// What a worker says that this run's coordinator does not take.
  func refusedWorker(_ arguments: [String]) throws -> Lethe.Output {
    let others = try status().workers.count
    return try Lethe.refused(["worker"] + arguments) { _ in try status().workers.count > others }
  }

  @discardableResult
  func startWorker(role: String = "all", options: [String] = []) throws -> Process {
    let worker = try Lethe.start(
      ["worker", "--run", runFile, "--role", role] + options,
      log: folder.appendingPathComponent("log"))
    workers.append(worker)
    return worker
  }

  func kill(_ process: Process?) {
    guard let process, process.isRunning else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  func killCoordinator() { kill(coordinator) }

  func stop() {
    for worker in workers { kill(worker) }
    kill(coordinator)
    workers = []
  }

  /// Seconds that a verb may wait for training, repair or a purge.
  static let timeout = "\(Int(Pace.patience(quiet: 60)))"

  func train() throws {
    let output = try Lethe.run(["train", "--watch", "--timeout", Self.timeout, "--run", runFile])
    try #require(output.status == 0, "\(output.errors)\n\(log)")
  }

  func delete(_ ids: [String], wait: String = "masked") throws -> [DeletionResponse.Item] {
    let output = try Lethe.run(
      ["delete", "--run", runFile, "--wait", wait, "--timeout", Self.timeout, "--format", "json"]
        + ids)
    return try JSONDecoder().decode(DeletionResponse.self, from: Data(output.text.utf8)).requests
  }

  func status() throws -> RunStatus { try Lethe.json(["status", "--run", runFile]) }

  func shard(_ shard: Int) throws -> ShardLineage {
    try Lethe.json(["lineage", "shard", "\(shard)", "--run", runFile])
  }

  /// Artifact of every block, by shard, sequence and stage.
  func artifacts() throws -> [String: String] {
    var artifacts: [String: String] = [:]
    for shard in 0..<2 {
      for sequence in try self.shard(shard).sequences {
        for block in sequence.blocks {
          artifacts["\(shard)/\(sequence.sequence)/\(block.stage)"] = block.artifact
        }
      }
    }
    return artifacts
  }

  /// What a run that never saw `gone` trains.
  static func freshArtifacts(without gone: Set<String> = [], epochs: Int = 4) throws
    -> [String: String]
  {
    let run = try TestRun(records: jsonLines(without: gone), epochs: epochs)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return try run.artifacts()
  }
}
