import CommandLineKit
import CoordinatorService
import Foundation
import Hashing
import ServiceSupport
import SystemIO
import Unlearning

let initCommand = Command(
  name: "init", summary: "write a run file from a data set and a backbone",
  discussion: """
    Looks at the data and the backbone, checks both, and writes a commented JSON5 file that says \
    everything about a run. Edit it before the first start; afterwards a run keeps what it was \
    created with.
    """,
  options: [
    CommandOption(
      "data", .path, placeholder: "FILE", repeats: true,
      help: "Records as .jsonl or .csv; needed unless --from-run names a run with some."),
    CommandOption(
      "backbone", .path, placeholder: "DIR",
      help: "Folder with config.json, model.safetensors and vocab.txt; needed likewise."),
    CommandOption(
      "from-run", .path, placeholder: "RUN",
      help: """
        The run file of an earlier run: its data, backbone, labels and partition key unless said \
        otherwise, and its deletions, so that whom it forgot stays forgotten.
        """),
    CommandOption(
      "labels", .list(of: .text),
      help: """
        The classes in order; default: the data's, sorted. One alone is no class: it names the \
        number that records carry as their label, for a regression.
        """),
    CommandOption("name", .text, default: "run", help: "What the run is called."),
    CommandOption(
      "layout", .choice(Layout.allCases.map(\.rawValue)), default: Layout.s3t.rawValue,
      help: """
        Shape of the ensemble. sisa: one sequence. adapter-per-shard: no slices either. full: one \
        adapter on all records. head-only: heads over the frozen encoder.
        """),
    CommandOption(
      "shards", .integer(1...4096), help: "Ensemble members. [default: 3; with full 1]"),
    CommandOption(
      "slices", .integer(1...128),
      help: "Parts of a shard, each with its layers. [default: 3, or what the layout has]"),
    CommandOption(
      "sequences", .integer(1...256),
      help: "Orders of the slices to train. [default: 3, or what the layout has]"),
    CommandOption(
      "layers-per-block", .list(of: .integer(0...1000)),
      help: "Layers of each block, the topmost first; default: all, as evenly as they go."),
    CommandOption("seed", .integer(0...Int.max), default: "1", help: "Seed of the run."),
    CommandOption(
      "partition-key", .text, placeholder: "HEX",
      help: "Key that places records; default: fresh random bytes."),
    CommandOption("output", .path, default: "lethe.json5", help: "Where to write the file."),
    CommandOption("force", .flag, help: "Replace a file that is there."),
  ],
  examples: [
    Example(
      "lethe init --data records.jsonl --backbone .cache/minilm",
      "Writes lethe.json5 for these records.")
  ]
) { arguments, console in
  let output = arguments.string("output")
  guard arguments.flag("force") || !FileSystem.exists(output) else {
    throw UserFacingError(
      "the file is there already", at: output, try: "choose another --output, or add --force",
      exitCode: .cannotWrite)
  }
  let earlier = try arguments.string(ifGiven: "from-run").map(EarlierRun.init)
  let given = arguments.strings("data")
  let data = given.isEmpty ? earlier?.data ?? [] : given
  guard !data.isEmpty, let backbone = arguments.string(ifGiven: "backbone") ?? earlier?.backbone
  else {
    throw UserFacingError.usage(
      "--data and --backbone are needed", try: "name both, or an earlier run with --from-run")
  }
  _ = try BackboneFiles(backbone)
  let declared = arguments.strings("labels").isEmpty ? earlier?.labels : arguments.list("labels")
  var found: Set<String> = []
  var count = 0
  for path in data {
    let records = try readDataset(path, labels: declared)
    count += records.count
    found.formUnion(records.map(\.label))
  }
  let shape = try InitialShape(arguments)
  var settings = RunFileText(
    name: arguments.string("name"), backbone: absolute(backbone),
    data: data.map(absolute), labels: declared ?? found.sorted(),
    shards: shape.shards, slices: shape.slices, sequences: shape.sequences,
    seed: arguments.integer("seed"),
    partitionKey: arguments.string(ifGiven: "partition-key") ?? earlier?.partitionKey
      ?? SystemRandom.bytes(count: 32).hex)
  settings.layersPerBlock = shape.layersPerBlock
  // First: a run file beside which the deletions are missing would be started without them.
  let carried = try earlier?.carry(into: settings.text, at: output)
  try writing(output) { try FileSystem.replace(output, with: Array(settings.text.utf8)) }
  let result = InitResult(
    runFile: output, records: count, labels: settings.labels, deletedBefore: carried)
  try show(result, arguments, console) {
    """
    wrote \($0.runFile): \($0.records) training records, \($0.labels.count) labels\
    \($0.deletedBefore.map { "; \(Humanized.count($0, "record")) deleted before stay out" } ?? "")
    next: lethe up --run \($0.runFile)
    then, in another terminal: lethe train --run \($0.runFile) --watch
    """
  }
  return .ok
}

/// What a layout fixes of the shape; the rest is the user's.
private struct InitialShape {
  let shards: Int
  let slices: Int
  let sequences: Int
  let layersPerBlock: [Int]?

  init(_ arguments: ParsedArguments) throws {
    let layout = Layout(rawValue: arguments.string("layout")) ?? .s3t
    func number(_ name: String, fixed: Int?) throws -> Int {
      let given = arguments.integer(ifGiven: name)
      guard let fixed else { return given ?? 3 }
      guard given == nil || given == fixed else {
        throw UserFacingError(
          "the layout \(layout.rawValue) has \(fixed) of --\(name)",
          try: "leave --\(name) out, or choose another --layout", exitCode: .usage)
      }
      return fixed
    }
    let hasSlices = [.s3t, .sisa].contains(layout)
    shards = try number("shards", fixed: layout == .full ? 1 : nil)
    slices = try number("slices", fixed: hasSlices ? nil : 1)
    sequences = try number("sequences", fixed: layout == .s3t ? nil : 1)
    let given =
      arguments.strings("layers-per-block").isEmpty
      ? nil : arguments.integers("layers-per-block")
    guard layout != .headOnly || given == nil else {
      throw UserFacingError(
        "the layout head-only trains no layers", try: "leave --layers-per-block out",
        exitCode: .usage)
    }
    layersPerBlock = layout == .headOnly ? [0] : given
  }
}

private struct InitResult: Encodable {
  var runFile: String
  var records: Int
  var labels: [String]
  /// With `--from-run`: tombstones taken over.
  var deletedBefore: Int?
}

/// The run whose deletions a new one takes over.
private struct EarlierRun {
  let file: RunFile
  let base: String

  init(_ path: String) throws {
    file = try readRunFile(path)
    base = folder(of: path)
  }

  var data: [String] { file.data.map { resolve($0, base: base) } }
  var backbone: String { resolve(file.backbone, base: base) }
  var labels: [String] { file.labels }
  var partitionKey: String { file.partitionKey }

  func carry(into text: String, at output: String) throws -> Int {
    let tombstones = try TombstoneFile.export(file, base: base)
    try tombstones.lay(
      for: try RunFile.parse(Array(text.utf8)), base: folder(of: output))
    return tombstones.tags.count
  }
}

/// A path that stays right wherever the run file lies.
func absolute(_ path: String) -> String {
  URL(fileURLWithPath: path).standardizedFileURL.path
}

/// The text of a new run file.
struct RunFileText {
  var name: String
  var backbone: String
  var data: [String]
  var labels: [String]
  var shards: Int
  var slices: Int
  var sequences: Int
  var seed: Int
  var partitionKey: String
  var epochs = 3
  var headStart = HeadStart.zero
  var batchSize = 8
  var learningRate = 2e-3
  /// `nil`: all layers, as evenly as they go.
  var layersPerBlock: [Int]?
  var repair = #"{ policy: "batched", quietSeconds: 5, maximumAgeSeconds: 60 }"#

  /// A list with a value for each slice, as an example in a comment.
  private func sample(_ count: Int? = nil, _ value: (Int) -> String) -> String {
    "[\((0..<(count ?? slices)).map(value).joined(separator: ", "))]"
  }

  private var layers: String {
    layersPerBlock.map { "layersPerBlock: \($0)," }
      ?? "// layersPerBlock: \(sample { _ in "2" }),"
  }

  private var probabilities: String { sample { "0.0\(1 + $0 % 9)" } }
  private var thresholds: String { sample(slices - 1) { "0.\(10 + min($0, 89))" } }

  var text: String {
    """
    // A Lethe run. After the first start only "coordinator" and "webhooks" may change: everything
    // else shapes the blocks, and a changed run is a new run with a directory of its own.
    {
      name: \(quote(name)),
      backbone: \(quote(backbone)),
      data: [\(data.map(quote).joined(separator: ", "))],
      // The classes, declared: a list collected from the records would itself have to forget. One
      // alone names a number, and the run is a regression on it.
      labels: [\(labels.map(quote).joined(separator: ", "))],

      // Ensemble members; slices of each, one group of layers per slice; orders of the slices.
      shards: \(shards),
      slices: \(slices),
      sequences: \(sequences),
      stageData: "cumulative", // or "disjoint"
      // Layers of each block, the topmost first; without it all, as evenly as they go.
      \(layers)
      // For slices that are not equally likely to lose a record: sequences by matching or sampling.
      // sequenceSelection: { method: "matching", sliceProbabilities: \(probabilities) },
      // Gathers records by the deletionProbability that they declare: bounds between slices.
      // sliceThresholds: \(thresholds),
      seed: \(seed),
      // Places records by HMAC-SHA256 of their ids. With the same key, and without a record, every
      // other record keeps its place.
      partitionKey: \(quote(partitionKey)),

      training: {
        // also: key, attention.output.dense, intermediate.dense, output.dense
        targets: ["query", "value"],
        rank: 8,
        alpha: 16,
        rankStabilized: true, // scale alpha / sqrt(rank)
        epochs: \(epochs),
        batchSize: \(batchSize),
        learningRate: \(learningRate),
        headLearningRate: \(10 * learningRate), // early stages see few records and need a fast head
        schedule: "linear", // or "constant"
        warmup: 0.06,
        weightDecay: 0.01,
        maximumGradientNorm: 1,
        maximumTokens: 128,
        headStart: \(quote(headStart.rawValue)), // the first stage's head; or "closed-form"
        // stageRateFactor: 1, // each stage's rates, times those of the stage before
        // startingAdapter: "FOLDER", // blocks start from a PEFT adapter's LoRA matrices
      },

      // When masked blocks are retrained: eager, batched, depth (with depth: N), or manual; and
      // with slicesPerHour: N no more of them than that.
      repair: \(repair),

      coordinator: {
        directory: \(quote(name + ".lethe")),
        workers: "127.0.0.1:0", // port 0: the system chooses, endpoint.json tells
        http: "127.0.0.1:0",
        aggregation: "mean-logits", // or mean-probability, vote, depth-weighted
        serving: "deepest", // prefix of each shard; or every-sequence, as many answers as sequences
        deadline: "gdpr", // by when deletions are finished; also "ccpa" or "days:N"
        // maximumWorkers: 1024, // connections of workers at a time
        auditShare: 0, // share of blocks that idle workers train again to compare bits
        // journal: ["journal-a", "journal-b"], // two folders, best on two disks
      },
      // Who is told of deletions, training and alarms; signed, see Protocols/webhooks.md. The file
      // holds whsec_ and base64; events: all, or a list of names.
      // webhooks: [{ url: "http://127.0.0.1:8080/lethe", secretFile: "webhook.secret" }],
    }

    """
  }

  /// JSON's way to write a string is also JSON5's.
  private func quote(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes]
    return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
}
