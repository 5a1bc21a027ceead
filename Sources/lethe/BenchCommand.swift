import CommandLineKit
import ServiceSupport
import SystemIO
import Training
import WorkerService

let benchCommand = Command(
  name: "bench", summary: "measure training speed, as ops/bench-pytorch.py does for PyTorch",
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

/// What `lethe bench` prints.
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
