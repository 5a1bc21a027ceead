import CommandLineKit
import SystemIO
import Training
import WorkerService

/// `lethe bench engine`: single stages.
let engineBenchCommand = Command(
  name: "engine", summary: "measure training speed, as ops/bench-pytorch.py does for PyTorch",
  discussion: """
    One layer a stage, LoRA on query and value, rank 16, batches of 32; one thread. Compare ratios \
    of one machine and one hour, never milliseconds across machines. Records made up from a seed; \
    a warm-up step first; medians and the range over the repetitions.
    """,
  options: [
    backboneOption,
    CommandOption(
      "cases", .list(of: .choice(TrainingBenchmark.cases.map(\.name))), default: "a,b,c",
      help: "Lengths: a 128 tokens, b 64, c 8 to 64, d 32."),
    CommandOption(
      "stages", .list(of: .integer(1...128)), default: "1,3,6", help: "1 is the top layer."),
    CommandOption("steps", .integer(1...10_000), default: "4", help: "Steps a repetition."),
    CommandOption("repetitions", .integer(1...1000), default: "3", help: "Measurements a row."),
  ]
) { arguments, console in
  try pinNumerics()
  let benchmark = try trainingBenchmark(arguments)
  var rates: [Double] = []
  var rows: [EngineResult.Row] = []
  for name in arguments.list("cases") {
    for stage in arguments.integers("stages") {
      guard let selected = TrainingBenchmark.cases.first(where: { $0.name == name }) else {
        continue
      }
      var measured: [TrainingBenchmark.Measurement] = []
      for _ in 0..<arguments.integer("repetitions") {
        rates.append(benchmark.productRate())
        measured.append(
          try benchmark.measure(selected, stage: stage, stepCount: arguments.integer("steps")))
      }
      rows.append(EngineResult.Row(name, stage, measured, productRate: Spread(rates).median))
    }
  }
  let result = EngineResult(
    productGigaflopsPerSecond: Spread(rates), rows: rows,
    peakResidentMegabytes: peakResidentMegabytes())
  try show(result, arguments, console) { result in
    var table = TextTable([
      .left("case"), .right("stage"), .right("examples/s"), .right("range"),
      .right("prefix uncached"), .right("in GEMM"), .right("GFLOP/s"), .right("of sgemm"),
    ])
    for row in result.rows {
      table.append([
        row.name, "\(row.stage)", Humanized.fixed(row.examplesPerSecond.median, digits: 1),
        row.examplesPerSecond.range(digits: 1),
        Humanized.fixed(row.uncachedExamplesPerSecond.median, digits: 1),
        percent(row.gemmShare.median), Humanized.fixed(row.gigaflopsPerSecond.median, digits: 0),
        percent(row.shareOfProductRate),
      ])
    }
    return """
      \(table.text)
      sgemm alone, 4,096 tokens: \
      \(Humanized.fixed(result.productGigaflopsPerSecond.median, digits: 1)) GFLOP/s \
      (\(result.productGigaflopsPerSecond.range(digits: 1))); memory at most \
      \(Humanized.fixed(result.peakResidentMegabytes, digits: 0)) MB
      """
  }
  return .ok
}

/// `lethe bench schedule`: all stages of one sequence.
let scheduleBenchCommand = Command(
  name: "schedule", summary: "measure a whole sequence, from its first stage to its last",
  discussion: """
    Trains as a worker does: stage i on the first i slices, one group of layers a stage from the \
    top down, the frozen layers' activations computed once a record. The JSON result carries the \
    records' lengths, so that ops/bench-pytorch.py --schedule can train the same.
    """,
  options: [
    backboneOption,
    CommandOption(
      "case", .choice(TrainingBenchmark.cases.map(\.name)), default: "c",
      help: "Lengths: a 128 tokens, b 64, c 8 to 64, d 32."),
    CommandOption("slices", .integer(1...128), default: "6", help: "Slices, and stages."),
    CommandOption("records", .integer(1...100_000), default: "32", help: "Records a slice."),
    CommandOption("epochs", .integer(1...1000), default: "3", help: "Passes a stage."),
  ]
) { arguments, console in
  try pinNumerics()
  let benchmark = try trainingBenchmark(arguments)
  guard
    let selected = TrainingBenchmark.cases.first(where: { $0.name == arguments.string("case") })
  else { return .usage }
  let epochs = arguments.integer("epochs")
  let schedule = try benchmark.measureSchedule(
    selected, sliceCount: arguments.integer("slices"),
    recordsPerSlice: arguments.integer("records"), epochs: epochs)
  let result = ScheduleResult(
    name: schedule.caseName, epochs: epochs, batchSize: TrainingBenchmark.batchSize,
    sliceCount: arguments.integer("slices"), lengths: schedule.lengths, seconds: schedule.seconds,
    prefixSeconds: schedule.stages.reduce(0) { $0 + $1.prefixSeconds },
    peakResidentMegabytes: peakResidentMegabytes(),
    stages: schedule.stages.map {
      ScheduleResult.Stage(
        stage: $0.stage, records: $0.records, seconds: $0.statistics.seconds,
        prefixSeconds: $0.prefixSeconds, gigaflopsPerSecond: $0.statistics.gigaflopsPerSecond)
    })
  try show(result, arguments, console) { result in
    var table = TextTable([
      .right("stage"), .right("records"), .right("training s"), .right("prefix s"),
      .right("GFLOP/s"),
    ])
    for stage in result.stages {
      table.append([
        "\(stage.stage)", "\(stage.records)", Humanized.fixed(stage.seconds, digits: 2),
        Humanized.fixed(stage.prefixSeconds, digits: 2),
        Humanized.fixed(stage.gigaflopsPerSecond, digits: 0),
      ])
    }
    return """
      \(table.text)
      \(Humanized.fixed(result.seconds, digits: 2)) s in all, \
      \(Humanized.fixed(result.prefixSeconds, digits: 2)) s of them in frozen layers; memory at \
      most \(Humanized.fixed(result.peakResidentMegabytes, digits: 0)) MB
      """
  }
  return .ok
}

private let backboneOption = CommandOption(
  "backbone", .path, placeholder: "DIR", required: true, help: "The backbone.")

private func trainingBenchmark(_ arguments: ParsedArguments) throws -> TrainingBenchmark {
  TrainingBenchmark(try LoadedModel(folder: arguments.string("backbone")).encoder)
}

private func peakResidentMegabytes() -> Double {
  Double(ProcessUsage.own.peakResidentByteCount) / 1e6
}

private func percent(_ share: Double) -> String {
  Humanized.fixed(100 * share, digits: 0) + " %"
}

/// What `lethe bench engine` prints.
private struct EngineResult: Encodable {
  struct Row: Encodable {
    var name: String
    var stage: Int
    /// With the frozen prefix in the cache, as Lethe trains.
    var examplesPerSecond: Spread
    /// With the prefix computed anew for every record.
    var uncachedExamplesPerSecond: Spread
    var gemmShare: Spread
    /// Of the model's own operations: nothing is padded.
    var gigaflopsPerSecond: Spread
    var shareOfProductRate: Double

    init(
      _ name: String, _ stage: Int, _ measured: [TrainingBenchmark.Measurement],
      productRate: Double
    ) {
      self.name = name
      self.stage = stage
      examplesPerSecond = Spread(measured.map(\.examplesPerSecond))
      uncachedExamplesPerSecond = Spread(measured.map(\.uncachedExamplesPerSecond))
      gemmShare = Spread(measured.map(\.statistics.gemmShare))
      gigaflopsPerSecond = Spread(measured.map(\.statistics.gigaflopsPerSecond))
      shareOfProductRate = gigaflopsPerSecond.median / productRate
    }
  }

  /// One large product by itself, measured between the rows.
  var productGigaflopsPerSecond: Spread
  var rows: [Row]
  var peakResidentMegabytes: Double
}

/// What `lethe bench schedule` prints.
private struct ScheduleResult: Encodable {
  struct Stage: Encodable {
    var stage: Int
    var records: Int
    /// In steps.
    var seconds: Double
    /// In the frozen layers below.
    var prefixSeconds: Double
    var gigaflopsPerSecond: Double
  }

  var name: String
  var epochs: Int
  var batchSize: Int
  var sliceCount: Int
  /// Tokens of each record, slice after slice.
  var lengths: [Int]
  var seconds: Double
  var prefixSeconds: Double
  var peakResidentMegabytes: Double
  var stages: [Stage]
}
