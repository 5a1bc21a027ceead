import CommandLineKit
import ServiceSupport
import Training
import WorkerService

let serveBenchCommand = Command(
  name: "serve", summary: "measure predictions, as ops/bench-serve.py does beside PyTorch",
  discussion: """
    One model, and an ensemble of --shards members whose top --depth layers carry adapters: once \
    as it serves, with the layers below shared, and once with every member by itself, which must \
    give the same bits. Batches of 32 texts, then texts one at a time; one thread. Compare ratios \
    of one machine and one hour, never milliseconds across machines.
    """,
  options: [
    CommandOption("backbone", .path, placeholder: "DIR", required: true, help: "The backbone."),
    CommandOption("shards", .integer(1...64), default: "5", help: "Members of the ensemble."),
    CommandOption(
      "depth", .integer(1...128), default: "3", help: "Layers from the top with adapters."),
    CommandOption(
      "cases", .list(of: .choice(TrainingBenchmark.cases.map(\.name))), default: "a,b,c",
      help: "Lengths: a 128 tokens, b 64, c 8 to 64."),
    CommandOption(
      "repetitions", .integer(1...1_000), default: "10", help: "Batches to measure of each."),
  ]
) { arguments, console in
  try pinNumerics()
  let encoder = try LoadedModel(folder: arguments.string("backbone")).encoder
  let benchmark = ServingBenchmark(encoder)
  let (members, depth) = (arguments.integer("shards"), arguments.integer("depth"))
  let shapes = [
    ("one", ServingBenchmark.Shape(memberCount: 1, depth: depth, isShared: true)),
    ("ensemble", ServingBenchmark.Shape(memberCount: members, depth: depth, isShared: true)),
    ("unshared", ServingBenchmark.Shape(memberCount: members, depth: depth, isShared: false)),
  ]
  var rows: [ServingResult.Row] = []
  for name in arguments.list("cases") {
    guard let selected = TrainingBenchmark.cases.first(where: { $0.name == name }) else { continue }
    let lengths = TrainingBenchmark.lengths(
      selected, count: arguments.integer("repetitions") * ServingBenchmark.batchSize)
    var logits: [[[Float]]] = []
    for (model, shape) in shapes {
      let measured = try benchmark.measure(shape, lengths: lengths)
      if model == "ensemble" { logits = measured.logits }
      guard model != "unshared" || logits == measured.logits else {
        throw ServiceError(
          .failure, "sharing layers changes bits", try: "report this with the processor's model")
      }
      rows.append(
        ServingResult.Row(
          name: name, model: model, shards: shape.memberCount, depth: depth,
          examplesPerSecond: Double(lengths.count) / measured.batchSeconds.reduce(0, +),
          batchMs: Spread(millisecondsOf: measured.batchSeconds),
          textMs: Spread(millisecondsOf: measured.textSeconds),
          gemmShare: measured.gemmShare, gigaflopsPerSecond: measured.gigaflopsPerSecond,
          lengths: lengths))
    }
  }
  let result = ServingResult(
    batchSize: ServingBenchmark.batchSize, groupsTexts: encoder.groupsTexts, rows: rows)
  try show(result, arguments, console) { result in
    var table = TextTable([
      .left("case"), .left("model"), .right("shards"), .right("examples/s"),
      .right("batch ms (p10..p90)"), .right("one text ms (p10..p90)"), .right("in GEMM"),
      .right("GFLOP/s"),
    ])
    for row in result.rows {
      table.append([
        row.name, row.model, "\(row.shards)", Humanized.fixed(row.examplesPerSecond, digits: 1),
        row.batchMs.mostly(digits: 0), row.textMs.mostly(digits: 1),
        Humanized.fixed(100 * row.gemmShare, digits: 0) + " %",
        Humanized.fixed(row.gigaflopsPerSecond, digits: 0),
      ])
    }
    return table.text
  }
  return .ok
}

/// What `lethe bench serve` prints.
private struct ServingResult: Encodable {
  struct Row: Encodable {
    var name: String
    /// `one`, `ensemble` with shared lower layers, or `unshared`.
    var model: String
    var shards: Int
    var depth: Int
    /// In batches.
    var examplesPerSecond: Double
    var batchMs: Spread
    /// From the question to the answer, asked one at a time.
    var textMs: Spread
    /// Of the batches.
    var gemmShare: Double
    var gigaflopsPerSecond: Double
    /// Tokens of each text, so that others can measure the same.
    var lengths: [Int]
  }

  var batchSize: Int
  /// Whether texts share products, or each goes through the layers alone.
  var groupsTexts: Bool
  var rows: [Row]
}
