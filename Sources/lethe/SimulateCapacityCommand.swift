import CommandLineKit
import CoordinatorCore
import Forecast
import ServiceSupport
import SystemIO
import Unlearning

/// `lethe simulate capacity`: deletions against repair.
let simulateCapacityCommand = Command(
  name: "capacity", summary: "how deep a run serves while deletions come and workers repair",
  discussion: """
    Runs the coordinator's own scheduling and repair policy in virtual time, with workers that \
    take as long as you say; lethe status shows how fast yours are. With --keep-depth also says \
    how many workers that takes.
    """,
  options: [
    CommandOption("shards", .integer(1...256), default: "5", help: "Shards."),
    CommandOption("slices", .integer(1...64), default: "4", help: "Slices a shard."),
    CommandOption("budget", .integer(1...64), default: "4", help: "Cyclic sequences a shard."),
    CommandOption(
      "stage-data", .choice(["cumulative", "disjoint"]), default: "cumulative",
      help: "What a stage reads: its first slices, or its own."),
    CommandOption("workers", .integer(1...1024), default: "2", help: "Workers."),
    CommandOption(
      "deletions-per-hour", .number(0...100_000), default: "2", help: "At random times."),
    CommandOption(
      "slice-seconds", .number(0.001...1_000_000), default: "60",
      help: "What training on one slice takes a worker, all epochs."),
    CommandOption("hours", .number(0.01...100_000), default: "168", help: "How long to look."),
    CommandOption(
      "repair", .choice(["eager", "batched", "depth", "manual"]), default: "batched",
      help: "The policy; depth repairs a shard that serves fewer blocks than --depth."),
    CommandOption(
      "quiet-minutes", .number(0...100_000), default: "5", help: "batched: without a deletion."),
    CommandOption(
      "age-minutes", .number(0...1_000_000), default: "60", help: "batched: or this old."),
    CommandOption("depth", .integer(1...64), default: "1", help: "For the policy depth."),
    CommandOption(
      "keep-depth", .integer(1...64), help: "Find the fewest workers that keep this depth."),
    CommandOption(
      "percentile", .number(1...100), default: "99",
      help: "In so many hundredths of time and shards."),
    CommandOption("seed", .integer(0...Int.max), default: "1", help: "Of everything drawn."),
  ],
  examples: [
    Example(
      "lethe simulate capacity --deletions-per-hour 4 --slice-seconds 10 --keep-depth 3",
      "Workers for depth 3.")
  ]
) { arguments, console in
  let settings = capacitySettings(arguments)
  if case .depthBelow(let depth) = settings.policy, depth > settings.sliceCount {
    throw ServiceError(
      .usage, "--depth \(depth) is more than the \(settings.sliceCount) slices", try: "lower it")
  }
  let expected = settings.deletionsPerHour * settings.hours
  guard expected <= CapacityForecast.Settings.deletionLimit else {
    let hours = CapacityForecast.Settings.deletionLimit / settings.deletionsPerHour
    throw ServiceError(
      .usage, "that makes \(Humanized.fixed(expected, digits: 0)) deletions, too many to try",
      try: "lower --hours to \(Int(hours))")
  }
  func run(_ workers: Int) throws -> CapacityForecast.Result {
    var settings = settings
    settings.workerCount = workers
    do {
      var forecast = try CapacityForecast(settings)
      return forecast.run()
    } catch {
      throw ServiceError(.usage, "\(error)", try: "change --shards, --slices or --budget")
    }
  }
  var report = CapacityReport(settings, try run(settings.workerCount))
  if let depth = arguments.integer(ifGiven: "keep-depth") {
    guard depth <= settings.sliceCount else {
      throw ServiceError(
        .usage, "--keep-depth \(depth) is more than the \(settings.sliceCount) slices",
        try: "lower it")
    }
    report.keepDepth = depth
    report.percentile = arguments.number("percentile")
    report.workersNeeded = try fewest(upTo: 1024) { workers in
      console.note("trying \(workers) worker\(workers == 1 ? "" : "s")")
      return try run(workers).shareAtLeast[depth] >= arguments.number("percentile") / 100
    }
  }
  try show(report, arguments, console, text: capacityText)
  return .ok
}

private func capacitySettings(_ arguments: ParsedArguments) -> CapacityForecast.Settings {
  func milliseconds(_ name: String) -> Milliseconds {
    Milliseconds(60_000 * arguments.number(name))
  }
  let policy: RepairPolicy =
    switch arguments.string("repair") {
    case "eager": .eager
    case "depth": .depthBelow(arguments.integer("depth"))
    case "manual": .manual
    default:
      .batched(quiet: milliseconds("quiet-minutes"), maximumAge: milliseconds("age-minutes"))
    }
  return CapacityForecast.Settings(
    shardCount: arguments.integer("shards"), sliceCount: arguments.integer("slices"),
    sequenceCount: arguments.integer("budget"),
    stageData: arguments.string("stage-data") == "disjoint" ? .disjoint : .cumulative,
    policy: policy, workerCount: arguments.integer("workers"),
    deletionsPerHour: arguments.number("deletions-per-hour"),
    secondsPerSlice: arguments.number("slice-seconds"), hours: arguments.number("hours"),
    seed: UInt64(arguments.integer("seed")))
}

/// The least number that is enough, given that every larger one is; `nil` if none is.
private func fewest(upTo limit: Int, isEnough: (Int) throws -> Bool) rethrows -> Int? {
  var high = 1
  while try !isEnough(high) {
    guard high < limit else { return nil }
    high = min(2 * high, limit)
  }
  var low = high / 2
  while high - low > 1 {
    let middle = (low + high) / 2
    if try isEnough(middle) { high = middle } else { low = middle }
  }
  return high
}

private func capacityText(_ report: CapacityReport) -> String {
  var depths = TextTable([.right("serve at least"), .right("of time and shards")])
  for (depth, share) in report.shareAtLeast.enumerated().dropFirst() {
    depths.append(["\(depth)", Humanized.fixed(100 * share, digits: 2) + " %"])
  }
  var samples = TextTable([
    .right("hour"), .right("mean depth"), .right("lowest"), .right("masked"), .right("training"),
  ])
  for step in 0...10 {
    let sample = report.samples[(report.samples.count - 1) * step / 10]
    samples.append([
      Humanized.fixed(sample.hour, digits: 1), Humanized.fixed(sample.meanDepth, digits: 2),
      "\(sample.lowestDepth)", "\(sample.masked)", "\(sample.training)",
    ])
  }
  var lines = [
    "\(report.deletions) deletions, \(report.repaired) repaired; workers busy "
      + "\(Humanized.fixed(100 * report.utilization, digits: 1)) % of the time"
  ]
  if let repair = report.repairSeconds {
    lines.append(
      "from deletion to repair: median \(Humanized.fixed(repair.median / 60, digits: 1)) min, "
        + "99 % within \(Humanized.fixed(repair.percentile99 / 60, digits: 1)) min")
  }
  if let depth = report.keepDepth, let percentile = report.percentile {
    let goal = "depth \(depth) in \(Humanized.fixed(percentile, digits: 1)) % of time and shards"
    lines.append(
      report.workersNeeded.map { "\($0) worker\($0 == 1 ? " keeps" : "s keep") \(goal)" }
        ?? "no number of workers up to 1024 keeps \(goal): repair itself takes too long")
  }
  return (lines + [depths.text, samples.text]).joined(separator: "\n")
}

/// What `lethe simulate capacity` prints.
private struct CapacityReport: Encodable {
  struct Sample: Encodable {
    var hour: Double
    var meanDepth: Double
    var lowestDepth: Int
    var masked: Int
    var training: Int
  }

  var workers: Int
  var deletions: Int
  /// Deletions whose blocks all stood again in the end.
  var repaired: Int
  /// Of the workers' time.
  var utilization: Double
  /// Element d: share of time and shards that served at least d blocks.
  var shareAtLeast: [Double]
  /// From a deletion to all its blocks standing again.
  var repairSeconds: Spread?
  var keepDepth: Int?
  var percentile: Double?
  var workersNeeded: Int?
  var samples: [Sample]

  init(_ settings: CapacityForecast.Settings, _ result: CapacityForecast.Result) {
    workers = settings.workerCount
    deletions = result.deletionCount
    repaired = result.repairedCount
    utilization = result.utilization
    shareAtLeast = result.shareAtLeast
    repairSeconds = result.repairSeconds.isEmpty ? nil : Spread(result.repairSeconds)
    samples = result.samples.map {
      Sample(
        hour: $0.hour, meanDepth: $0.meanDepth, lowestDepth: $0.lowestDepth, masked: $0.masked,
        training: $0.training)
    }
  }
}
