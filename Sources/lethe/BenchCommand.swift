import CommandLineKit
import ServiceSupport
import SystemIO

/// `lethe bench`: what Lethe costs, measured.
let benchCommand = Command(
  name: "bench", summary: "measure the engine, predictions and the coordinator",
  verbs: [
    engineBenchCommand, scheduleBenchCommand, serveBenchCommand, cacheBenchCommand,
    coordinatorBenchCommand, deletionsBenchCommand, ingestBenchCommand,
  ])

private let coordinatorBenchCommand = Command(
  name: "coordinator", summary: "measure a coordinator under many workers that train nothing",
  discussion: """
    Starts a coordinator on a run made for it and lets workers ask for work, hand in a made-up \
    block and ask again. Everything is as in service: authenticated frames, every block on disk \
    and in both copies of the journal before it is accepted. The workers run beside it, on the \
    same cores.
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
  if let given, FileSystem.exists(given) {
    throw ServiceError(.cannotWrite, "\(given) is there already", try: "choose a new folder")
  }
  let folder = try BenchmarkFolder(given)
  defer { folder.removeIfTemporary() }
  let benchmark = CoordinatorBenchmark(
    folder: folder.path, workerCount: arguments.integer("workers"),
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
