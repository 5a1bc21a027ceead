import CommandLineKit
import ServiceSupport
import SystemIO
import Training
import WorkerService

let benchCommand = Command(
  name: "bench", summary: "measure the engine, predictions and the coordinator",
  verbs: [
    engineBenchCommand, serveBenchCommand, cacheBenchCommand, coordinatorBenchCommand,
    deletionsBenchCommand,
  ])

private let coordinatorBenchCommand = Command(
  name: "coordinator", summary: "measure a coordinator under many workers that train nothing",
  discussion: """
    Starts a coordinator on a run made for it and lets workers ask for work, hand in a few bytes \
    and ask again. Everything is as in service: authenticated frames, every block on disk and in \
    both copies of the journal before it is accepted. The workers run beside it, on the same cores.
    """,
  options: [
    CommandOption("workers", .integer(1...1000), default: "500", help: "Connected workers."),
    CommandOption("seconds", .integer(1...60), default: "10", help: "How long to measure."),
    CommandOption(
      "directory", .path, placeholder: "DIR",
      help: "A new folder for the run, which is kept; default: a temporary one."),
  ]
) { arguments, console in
  let given = arguments.string(ifGiven: "directory")
  let folder =
    given.map(absolute)
    ?? "\(SystemProcess.environment("TMPDIR") ?? "/tmp")/lethe-bench-\(SystemProcess.identifier)"
  guard !FileSystem.exists(folder) else {
    throw ServiceError(.cannotWrite, "\(folder) is there already", try: "choose a new folder")
  }
  try FileSystem.createDirectory(folder)
  defer { if given == nil { try? FileSystem.removeTree(folder) } }
  let benchmark = CoordinatorBenchmark(
    folder: folder, workerCount: arguments.integer("workers"),
    seconds: Double(arguments.integer("seconds")))
  try show(try benchmark.run(), arguments, console) { result in
    var table = TextTable([.left("answer"), .right("p50 ms"), .right("p99 ms")])
    for (name, latency) in [
      ("lease", result.lease), ("upload", result.upload), ("heartbeat", result.heartbeat),
    ] {
      table.append([
        name, Humanized.fixed(latency.median, digits: 1),
        Humanized.fixed(latency.percentile99, digits: 1),
      ])
    }
    return """
      \(result.workers) workers, \(result.cycles) blocks leased and completed in \
      \(Humanized.fixed(result.seconds, digits: 1)) s: \
      \(Humanized.fixed(result.cyclesPerSecond, digits: 0)) a second
      \(table.text)
      coordinator: \(Humanized.fixed(result.peakResidentMegabytes, digits: 0)) MB at most, \
      \(Humanized.fixed(result.processorSecondsPerThousandCycles, digits: 2)) s of processor time \
      for 1,000 blocks
      """
  }
  return .ok
}

private let engineBenchCommand = Command(
  name: "engine", summary: "measure training speed, as ops/bench-pytorch.py does for PyTorch",
  discussion: """
    One layer a stage, LoRA on query and value, rank 16, batches of 32; one thread. Compare ratios \
    of one machine and one hour, never milliseconds across machines.
    """,
  options: [
    CommandOption("backbone", .path, placeholder: "DIR", required: true, help: "The backbone."),
    CommandOption(
      "cases", .list(of: .choice(TrainingBenchmark.cases.map(\.name))), default: "a,b,c",
      help: "Lengths: a 128 tokens, b 64, c 8 to 64."),
    CommandOption(
      "stages", .list(of: .integer(1...128)), default: "1,3,6", help: "1 is the top layer."),
    CommandOption("steps", .integer(1...10_000), default: "10", help: "Steps to measure."),
  ]
) { arguments, console in
  try pinNumerics()
  let benchmark = TrainingBenchmark(
    try LoadedModel(folder: arguments.string("backbone")).encoder)
  var rows: [BenchResult.Row] = []
  for name in arguments.list("cases") {
    for stage in arguments.integers("stages") {
      guard let selected = TrainingBenchmark.cases.first(where: { $0.name == name }) else {
        continue
      }
      let measured = try benchmark.measure(
        selected, stage: stage, stepCount: arguments.integer("steps"))
      rows.append(
        BenchResult.Row(
          name: name, stage: stage, examplesPerSecond: measured.examplesPerSecond,
          uncachedExamplesPerSecond: measured.uncachedExamplesPerSecond,
          gemmShare: measured.statistics.gemmShare,
          gigaflopsPerSecond: measured.statistics.gigaflopsPerSecond))
    }
  }
  try show(BenchResult(rows: rows), arguments, console) { result in
    var table = TextTable([
      .left("case"), .right("stage"), .right("examples/s"), .right("prefix uncached"),
      .right("in GEMM"), .right("GFLOP/s"),
    ])
    for row in result.rows {
      table.append([
        row.name, "\(row.stage)", Humanized.fixed(row.examplesPerSecond, digits: 1),
        Humanized.fixed(row.uncachedExamplesPerSecond, digits: 1),
        Humanized.fixed(100 * row.gemmShare, digits: 0) + " %",
        Humanized.fixed(row.gigaflopsPerSecond, digits: 0),
      ])
    }
    return table.text
  }
  return .ok
}

/// What `lethe bench engine` prints.
private struct BenchResult: Encodable {
  struct Row: Encodable {
    var name: String
    var stage: Int
    /// With the frozen prefix in the cache, as Lethe trains.
    var examplesPerSecond: Double
    /// With the prefix computed anew for every record.
    var uncachedExamplesPerSecond: Double
    var gemmShare: Double
    var gigaflopsPerSecond: Double
  }

  var rows: [Row]
}
