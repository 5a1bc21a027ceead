import CommandLineKit
import CoordinatorAPI
import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO

/// `lethe lineage export`: what every standing block was made from, for catalogues of other makers.
let lineageExportCommand = Command(
  name: "export", summary: "every standing block as events of OpenLineage, one a line",
  discussion: """
    Writes two RunEvents, START and COMPLETE, for each block that stands: the slices and the \
    parent it was made from, the artifact it is, and everything its key covers. Same blocks, same \
    bytes; a run's id follows from the block's key, so sending a file twice changes nothing. \
    Slices are named, records never. Protocols/lineage.md says what each member means.
    """,
  options: CoordinatorClient.options + [
    CommandOption(
      "namespace", .text, default: "lethe",
      help: "The namespace of jobs and datasets; one for each installation."),
    CommandOption(
      "output", .path, placeholder: "FILE", help: "Write it here instead of standard output."),
  ], formats: [.openlineage],
  examples: [
    Example("lethe lineage export --output lineage.jsonl", "For a catalogue to read.")
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let client = try CoordinatorClient(arguments)
  let status: RunStatus = try client.get("/v1/status")
  var lines: [UInt8] = []
  for shard in status.shards {
    let list: BlockLineageList = try client.get("/v1/lineage/shards/\(shard.shard)/blocks")
    for block in list.blocks {
      let run = try OpenLineageRun(
        block, run: status.run, namespace: arguments.string("namespace"))
      for event in run.events { lines += event.compactBytes + [UInt8(ascii: "\n")] }
    }
  }
  if let path = arguments.string(ifGiven: "output") {
    try writing(path) { try FileSystem.replace(path, with: lines) }
    console.note("wrote \(path)")
  } else if !lines.isEmpty {
    try console.printJSON(lines: lines)
  }
  return .ok
}

/// One standing block as a finished run of the job that trains its place.
///
/// - SeeAlso: OpenLineage 2-0-2, RunEvent; DatasetVersionDatasetFacet 1-0-1.
struct OpenLineageRun {
  /// Its beginning and its end.
  let events: [JSON]

  private static let specification = "https://openlineage.io/spec"
  /// Names the software and its version; nothing is to be fetched there.
  private static let producer = "urn:lethe:\(ProductVersion.text)"

  init(_ block: BlockLineage, run: String, namespace: String) throws {
    guard let startedAt = block.startedAt, let trainedAt = block.trainedAt,
      let artifact = block.artifact,
      let key = Digest(hex: block.key)
    else { throw ServiceError(.failure, "block \(block.key) has no artifact") }
    let place = "shard-\(block.shard)/sequence-\(block.sequence)/stage-\(block.stage)"
    var inputs = block.slices.map { slice in
      Self.dataset(
        "\(run)/shard-\(block.shard)/slice-\(slice.slice)", namespace, version: slice.digest,
        facets: [
          (
            "letheSlice",
            Self.facet(
              "SliceDatasetFacet", [("records", .number("\(slice.records)"))])
          )
        ])
    }
    if let parent = block.parent {
      inputs.append(
        Self.dataset(
          "\(run)/shard-\(block.shard)/sequence-\(block.sequence)/stage-\(block.stage - 1)/block",
          namespace, version: block.parentArtifact,
          facets: [("letheBlock", Self.facet("BlockDatasetFacet", [("key", .string(parent))]))]))
    }
    let output = Self.dataset(
      "\(run)/\(place)/block", namespace, version: artifact,
      facets: [
        (
          "letheBlock",
          Self.facet(
            "BlockDatasetFacet",
            [
              ("key", .string(block.key)),
              ("layers", .array(block.layers.map { .number("\($0)") })),
            ])
        )
      ])
    let common: [(name: String, value: JSON)] = [
      (
        "run",
        .object([
          ("runId", .string(Self.identifier(of: key))),
          ("facets", .object([("letheTraining", Self.training(block))])),
        ])
      ),
      (
        "job",
        .object([
          ("namespace", .string(namespace)), ("name", .string("\(run)/\(place)")),
        ])
      ),
      ("inputs", .array(inputs)), ("outputs", .array([output])),
      ("producer", .string(Self.producer)),
      ("schemaURL", .string("\(Self.specification)/2-0-2/OpenLineage.json#/$defs/RunEvent")),
    ]
    events = [("START", startedAt), ("COMPLETE", trainedAt)].map { type, time in
      .object([("eventType", .string(type)), ("eventTime", .string(time))] + common)
    }
  }

  /// A UUID of version 8 (RFC 9562, section 5.8) from the block's key: same block, same run.
  static func identifier(of key: Digest) -> String {
    var bytes = Array(SHA256.hash(Array("lethe-openlineage-1".utf8) + key.bytes).bytes.prefix(16))
    bytes[6] = bytes[6] & 0x0f | 0x80
    bytes[8] = bytes[8] & 0x3f | 0x80
    let digits = Array(bytes.hex)
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
      .joined(separator: "-")
  }

  /// What the block's key covers besides its data.
  private static func training(_ block: BlockLineage) -> JSON {
    facet(
      "TrainingRunFacet",
      [
        ("blockKey", .string(block.key)), ("numericClass", .string(block.numericClass)),
        ("backbone", .string(block.backbone)), ("recipe", .string(block.recipe)),
        ("seed", .string(block.seed)), ("steps", .number("\(block.steps ?? 0)")),
      ])
  }

  private static func dataset(
    _ name: String, _ namespace: String, version: String?, facets: [(String, JSON)]
  ) -> JSON {
    let schema =
      "\(specification)/facets/1-0-1/DatasetVersionDatasetFacet.json"
      + "#/$defs/DatasetVersionDatasetFacet"
    let common: [(String, JSON)] =
      version.map { version in
        [
          (
            "version",
            .object([
              ("_producer", .string(producer)), ("_schemaURL", .string(schema)),
              ("datasetVersion", .string(version)),
            ])
          )
        ]
      } ?? []
    return .object([
      ("namespace", .string(namespace)), ("name", .string(name)),
      ("facets", .object((common + facets).map { (name: $0.0, value: $0.1) })),
    ])
  }

  /// A facet of our own, described in `Protocols/lineage.md`.
  private static func facet(_ name: String, _ members: [(String, JSON)]) -> JSON {
    let head: [(String, JSON)] = [
      ("_producer", .string(producer)), ("_schemaURL", .string("urn:lethe:facets:1:\(name)")),
    ]
    return .object((head + members).map { (name: $0.0, value: $0.1) })
  }
}
