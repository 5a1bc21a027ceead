import CoordinatorAPI
import CoordinatorCore
import CoordinatorService
import Foundation
import ServiceSupport
import SystemIO
import Unlearning
import WireFormat

/// A real coordinator under many workers that train nothing: they ask, upload a made-up block and
/// ask again.
///
/// The run lies in a folder of its own and is real in everything but its backbone and records, of
/// which workers look at no more than their number. The workers share this process and one thread.
struct CoordinatorBenchmark {
  let folder: String
  let workerCount: Int
  let seconds: Double

  /// Cycles a second for which there are blocks enough.
  private static let affordedCyclesPerSecond = 5_000
  private static let warmUpSeconds = 2.0
  private static let sliceCount = 5
  private static let sequenceCount = 60
  /// Blocks that a shard has at least: sequences share what comes before they part.
  private static let blocksPerShard = 190
  private static let recordsPerShard = 20
  private static let name = "bench"

  private var runDirectory: String { "\(folder)/\(Self.name).lethe" }
  private var runFile: String { "\(folder)/run.json5" }

  /// Writes the run, starts its coordinator, and measures.
  func run() throws -> CoordinatorBenchmarkResult {
    try writeRun()
    let processes = try LocalProcesses(
      runFile: runFile, directory: runDirectory, logPath: "\(folder)/log")
    defer { processes.stopAll() }
    let client = try CoordinatorClient(directory: runDirectory)
    let _: RunStatus = try client.post("/v1/train")
    guard let endpoint = try Endpoint.read(from: runDirectory),
      let address = NetworkAddress(endpoint.workers)
    else { throw ServiceError(.unavailable, "the coordinator says no address") }
    var crowd = BenchmarkCrowd(
      address: address, key: try KeyFile.read("\(runDirectory)/local.key"),
      backbone: try BackboneFiles("\(folder)/backbone"))
    try crowd.connect(workerCount)
    try crowd.work(seconds: Self.warmUpSeconds)
    crowd.forgetMeasurements()
    let identifier = processes.coordinator.processIdentifier
    let before = ProcessUsage(of: identifier)
    let start = SystemClock.seconds
    try crowd.work(seconds: seconds)
    let elapsed = SystemClock.seconds - start
    guard let before, let after = ProcessUsage(of: identifier), crowd.cycleCount > 0 else {
      throw ServiceError(.failure, "nothing was measured", try: "see \(folder)/log")
    }
    return CoordinatorBenchmarkResult(
      workers: workerCount, seconds: elapsed, cycles: crowd.cycleCount,
      cyclesPerSecond: Double(crowd.cycleCount) / elapsed,
      lease: Spread(millisecondsOf: crowd.leaseSeconds),
      upload: Spread(millisecondsOf: crowd.uploadSeconds),
      heartbeat: Spread(millisecondsOf: crowd.heartbeatSeconds),
      processorSecondsPerThousandCycles:
        1000 * (after.processorSeconds - before.processorSeconds) / Double(crowd.cycleCount),
      peakResidentMegabytes: Double(after.peakResidentByteCount) / 1e6)
  }

  /// Writes the files of a model that nobody looks into.
  static func writeBackbone(to folder: String, layerCount: Int) throws {
    try FileSystem.createDirectory(folder)
    let configuration = """
      {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "num_attention_heads": 1,
       "num_hidden_layers": \(layerCount), "intermediate_size": 8, "vocab_size": 8,
       "max_position_embeddings": 128, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
      """
    for (name, text) in [
      (BackboneFiles.configurationName, configuration), (BackboneFiles.weightsName, "none"),
      (BackboneFiles.vocabularyName, "[PAD]\n"),
    ] {
      try FileSystem.replace("\(folder)/\(name)", with: Array(text.utf8))
    }
  }

  private func writeRun() throws {
    let backbone = "\(folder)/backbone"
    try Self.writeBackbone(to: backbone, layerCount: Self.sliceCount)
    let blocks =
      Int(seconds + Self.warmUpSeconds) * Self.affordedCyclesPerSecond + workerCount
    let shards = max(8, blocks / Self.blocksPerShard)
    // So many that hardly a slice is empty: stages without records would all have the same bytes,
    // which are stored once.
    let records = (0..<Self.recordsPerShard * shards).map {
      #"{"id":"r\#($0)","text":"t","label":"a"}"# + "\n"
    }
    try FileSystem.replace("\(folder)/records.jsonl", with: Array(records.joined().utf8))
    var text = RunFileText(
      name: Self.name, backbone: backbone, data: ["\(folder)/records.jsonl"], labels: ["a", "b"],
      shards: shards, slices: Self.sliceCount,
      sequences: Self.sequenceCount, seed: 1,
      partitionKey: String(repeating: "5a", count: 32))
    text.repair = #"{ policy: "eager" }"#
    try FileSystem.replace(runFile, with: Array(text.text.utf8))
  }
}

/// What `lethe bench coordinator` prints.
struct CoordinatorBenchmarkResult: Encodable {
  var workers: Int
  var seconds: Double
  /// Blocks leased, handed in and accepted.
  var cycles: Int
  var cyclesPerSecond: Double
  var lease: Spread
  var upload: Spread
  var heartbeat: Spread
  /// Of the coordinator alone.
  var processorSecondsPerThousandCycles: Double
  var peakResidentMegabytes: Double
}
