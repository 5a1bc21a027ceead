import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import WorkerService

let exportCommand = Command(
  name: "export", summary: "write what a shard serves as a PEFT folder",
  discussion: """
    Beside the two files that PEFT loads stand lethe_manifest.json, which says where the adapter \
    comes from (run, shard, sequence, blocks, artifacts, numeric class; no record), and \
    load_peft.py, which loads the folder with Transformers and PEFT and compares logits with those \
    that Lethe computed: python3 DIR/load_peft.py --backbone DIR. What stands in the folder is \
    removed by a deletion that masks one of its blocks. The same blocks give the same bytes.
    """,
  options: CoordinatorClient.options + [
    CommandOption("shard", .integer(0...4095), placeholder: "N", help: "The shard."),
    CommandOption("all", .flag, help: "Every shard, each into a folder shard-N of its own."),
    CommandOption(
      "backbone", .path, placeholder: "DIR",
      help: "The backbone's folder; default: the one that the run file names."),
    CommandOption(
      "starting-adapter", .path, placeholder: "DIR",
      help: "Where the run's blocks start from, if it says so; default: the run file's."),
    CommandOption(
      "check", .flag,
      help: """
        Read the folder back and compare every tensor with the blocks served now; a folder that \
        holds an export is not written again.
        """),
    CommandOption("output", .path, placeholder: "DIR", required: true, help: "Where to write."),
  ],
  examples: [
    Example("lethe export --shard 0 --output shard0", "A folder that PEFT loads."),
    Example("lethe export --shard 0 --output shard0 --check", "Is it still what is served?"),
  ],
  exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  try pinNumerics()
  let output = arguments.string("output")
  let exporter = try Exporter(arguments)
  var exported: [ExportResult.Item] = []
  if arguments.flag("all") {
    guard arguments.integer(ifGiven: "shard") == nil else {
      throw UserFacingError.usage(
        "--shard and --all were both given", try: "leave one of them out")
    }
    for shard in try exporter.servingShards() {
      exported.append(try exporter.export(shard, to: "\(output)/shard-\(shard)"))
    }
  } else if let shard = arguments.integer(ifGiven: "shard") {
    exported.append(try exporter.export(shard, to: output))
  } else {
    throw UserFacingError.usage(
      "neither --shard nor --all was given", try: "--shard 0, or --all")
  }
  try show(ExportResult(exported: exported), arguments, console) {
    $0.exported.map { item in
      "shard \(item.shard): sequence \(item.sequence), depth \(item.depth) → \(item.output)"
        + (item.tensorsCompared.map { ", \($0) tensors are those of the blocks" } ?? "")
    }.joined(separator: "\n")
  }
  return .ok
}

private struct ExportResult: Encodable {
  struct Item: Encodable {
    var shard: Int
    var sequence: Int
    var depth: Int
    var output: String
    /// With --check: how many were read back and are equal.
    var tensorsCompared: Int?
  }

  var exported: [Item]
}

/// Gathers what a shard serves, and writes it or compares with what is written.
private struct Exporter {
  private let client: CoordinatorClient
  private let recipe: RecipeDescription
  private let model: LoadedModel
  private let isCheck: Bool

  init(_ arguments: ParsedArguments) throws {
    client = try CoordinatorClient(arguments)
    recipe = try client.get("/v1/recipe")
    let (backbone, startingAdapter) = try Self.folders(arguments)
    model = try LoadedModel(
      folder: backbone, adapter: startingAdapter.map { try AdapterFiles($0) })
    guard model.digest.hex == recipe.backbone else {
      throw ServiceError(
        .badData,
        "\(backbone) is backbone \(model.digest.hex.prefix(12)); the run is over "
          + "\(recipe.backbone.prefix(12))",
        try: "give --backbone and --starting-adapter the folders that the run's workers use")
    }
    isCheck = arguments.flag("check")
  }

  /// Those that the arguments name, or else the run file.
  private static func folders(_ arguments: ParsedArguments) throws
    -> (backbone: String, startingAdapter: String?)
  {
    let named = (
      arguments.string(ifGiven: "backbone"), arguments.string(ifGiven: "starting-adapter")
    )
    guard arguments.string(ifGiven: "coordinator") == nil else {
      guard let backbone = named.0 else {
        throw UserFacingError.usage("--coordinator needs --backbone, as no run file names one")
      }
      return (backbone, named.1)
    }
    let path = arguments.string("run")
    let (file, base) = (try readRunFile(path), folder(of: path))
    return (
      named.0 ?? resolve(file.backbone, base: base),
      named.1 ?? file.training.startingAdapter.map { resolve($0, base: base) }
    )
  }

  func servingShards() throws -> [Int] {
    let status: RunStatus = try client.get("/v1/status")
    return status.shards.filter { $0.depth > 0 }.map(\.shard)
  }

  func export(_ shard: Int, to path: String) throws -> ExportResult.Item {
    let lineage: ShardLineage = try client.get("/v1/lineage/shards/\(shard)")
    // The deepest, ties to the lowest sequence: what the shard serves.
    guard
      let served = lineage.sequences.max(by: { ($0.depth, -$0.sequence) < ($1.depth, -$1.sequence) }
      ), served.depth > 0
    else {
      throw ServiceError(
        .unavailable, "shard \(shard) serves nothing now", try: "wait for training or repair")
    }
    let content = try content(of: shard, served)
    var item = ExportResult.Item(
      shard: shard, sequence: served.sequence, depth: served.depth, output: path)
    let isWritten = FileSystem.exists("\(path)/\(PEFTAdapter.tensorsName)")
    if !isCheck || !isWritten {
      try content.write(to: path)
      // Known to the coordinator, so that a deletion which masks one of these blocks removes it.
      let _: CopyRequest = try client.post(
        "/v1/exports",
        CopyRequest(
          // The coordinator follows no link, so it is told where links lead.
          path: FileSystem.canonical(absolute(path)),
          artifacts: served.blocks.prefix(served.depth).compactMap(\.artifact)))
    }
    if isCheck { item.tensorsCompared = try content.compare(with: path) }
    return item
  }

  private func content(of shard: Int, _ served: ShardLineage.Sequence) throws -> AdapterFolder {
    let standing = served.blocks.prefix(served.depth)
    let blocks = try standing.map { block in
      try BlockArtifact.decode(
        client.artifact(block.artifact ?? ""), rank: recipe.rank, alpha: recipe.alpha,
        rankStabilized: recipe.rankStabilized)
    }
    let deepest: BlockLineage = try client.get(
      "/v1/lineage/blocks/\(standing.last?.key ?? "")")
    let status: RunStatus = try client.get("/v1/status")
    return try AdapterFolder(
      PEFTAdapter(
        rank: recipe.rank, alpha: recipe.alpha, rankStabilized: recipe.rankStabilized,
        adapters: blocks.flatMap(\.adapters), head: blocks.last?.head),
      model: model, labels: recipe.labels, maximumTokens: recipe.maximumTokens,
      origin: AdapterManifest.Origin(
        run: status.run, shard: shard, sequence: served.sequence,
        blocks: standing.map { block in
          AdapterManifest.Block(
            stage: block.stage, layers: block.layers, slices: block.slices, key: block.key ?? "",
            artifact: block.artifact ?? "")
        },
        numericClass: deepest.numericClass, recipe: deepest.recipe, ledgerSize: status.ledgerSize))
  }
}
