import ByteCoding
import CommandLineKit
import CoordinatorAPI
import Evaluation
import Foundation
import ModelFormats
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WorkerService

let predictCommand = Command(
  name: "predict", summary: "classify texts, through the coordinator or alone",
  discussion: """
    Through the coordinator, every shard answers with its deepest unmasked prefix, and of their \
    answers one is made: by the logits' mean, unless the run file or --aggregation says otherwise. \
    With --backbone and --adapter no coordinator is needed. A head of one row answers with a number.
    """,
  options: CoordinatorClient.options + [
    CommandOption("text", .text, repeats: true, help: "A text to classify."),
    CommandOption(
      "file", .path, placeholder: "FILE", help: "JSONL with text, and id and text_pair if any."),
    CommandOption(
      "maximum-depth", .integer(1...128), placeholder: "N",
      help: "Let no shard serve more blocks than this."),
    CommandOption(
      "aggregation", .choice(Aggregation.allCases.map(\.rawValue)),
      help: "How the shards' answers become one; default: as the run file says."),
    CommandOption(
      "serving", .choice(ServingRule.allCases.map(\.rawValue)),
      help: """
        Which prefixes of a shard answer: the deepest, or the longest of every sequence, which \
        costs as many answers. Default: as the run file says.
        """),
    CommandOption("explain", .flag, help: "Say which shards, blocks and slices answered."),
    CommandOption("backbone", .path, placeholder: "DIR", help: "Alone: the backbone's folder."),
    CommandOption("adapter", .path, placeholder: "DIR", help: "Alone: a PEFT folder."),
    CommandOption(
      "labels", .list(of: .text), help: "Alone: names of the head's rows; default: their numbers."),
    CommandOption(
      "max-tokens", .integer(3...8192), default: "512", help: "Alone: longer texts are cut."),
  ],
  examples: [
    Example("lethe predict --text \"a small bird\"", "Asks the running ensemble."),
    Example(
      "lethe predict --backbone DIR --adapter DIR --labels a,b --file texts.jsonl",
      "Needs no coordinator."),
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  var records = arguments.strings("text").map { PredictionRequest.Item(text: $0) }
  if let path = arguments.string(ifGiven: "file") { records += try readTexts(path) }
  guard !records.isEmpty else {
    throw UserFacingError.usage("no text was given", try: "--text TEXT or --file FILE")
  }
  let response: PredictionResponse
  switch (arguments.string(ifGiven: "backbone"), arguments.string(ifGiven: "adapter")) {
  case (let backbone?, let adapter?):
    try pinNumerics()
    response = try predictAlone(records, backbone: backbone, adapter: adapter, arguments)
  case (nil, nil):
    response = try predict(
      records, CoordinatorClient(arguments),
      maximumDepth: arguments.integer(ifGiven: "maximum-depth"),
      aggregation: arguments.string(ifGiven: "aggregation"),
      serving: arguments.string(ifGiven: "serving"), explain: arguments.flag("explain"))
  default: throw UserFacingError.usage("--backbone and --adapter go together")
  }
  try show(response, arguments, console) { response in
    let answers = response.predictions.map { item in
      let shards = item.shards.map { "\($0.shard):\($0.depth)" }.joined(separator: " ")
      return [
        item.id?.visible, item.label.visible, shards.isEmpty ? nil : "(shard:depth \(shards))",
      ]
      .compactMap { $0 }.joined(separator: "\t")
    }
    let isExplained = arguments.flag("explain")
    return (answers + (isExplained ? [explanation(of: response)] : [])).joined(separator: "\n")
  }
  return .ok
}

/// The blocks behind the answers; portions of a long question may have been answered by others.
private func explanation(of response: PredictionResponse) -> String {
  var lines = ["answered by \(response.aggregation ?? "one model") of"]
  var table = TextTable([
    .right("shard"), .right("sequence"), .right("stage"), .left("layers"), .left("slices"),
    .left("key"), .left("artifact"),
  ])
  var seen: [PredictionResponse.Shard] = []
  for shard in response.predictions.flatMap(\.shards) where !seen.contains(shard) {
    seen.append(shard)
    for (index, block) in (shard.blocks ?? []).enumerated() {
      table.append([
        "\(shard.shard)", "\(shard.sequence)", "\(index + 1)",
        block.layers.map(String.init).joined(separator: ","),
        block.slices.map(String.init).joined(separator: ","), String(block.key.prefix(12)),
        String(block.artifact.prefix(12)),
      ])
    }
  }
  lines.append(table.text)
  return lines.joined(separator: "\n")
}

/// Asks the coordinator in portions, so that no single answer takes long.
func predict(
  _ records: [PredictionRequest.Item], _ client: CoordinatorClient, maximumDepth: Int? = nil,
  aggregation: String? = nil, serving: String? = nil, explain: Bool = false
) throws -> PredictionResponse {
  var all = PredictionResponse(predictions: [])
  for range in PredictionLimits.ranges(of: records) {
    let portion = Array(records[range])
    let response: PredictionResponse = try client.post(
      "/v1/predictions",
      PredictionRequest(
        records: portion, maximumDepth: maximumDepth, aggregation: aggregation,
        serving: serving, explain: explain ? true : nil))
    all.predictions += response.predictions
    all.aggregation = response.aggregation
  }
  return all
}

private func predictAlone(
  _ records: [PredictionRequest.Item], backbone: String, adapter: String,
  _ arguments: ParsedArguments
) throws -> PredictionResponse {
  let given = try AdapterFiles(adapter)
  let (adapter, model) = (given.adapter, try LoadedModel(folder: backbone, adapter: given))
  guard let head = adapter.head else {
    throw ServiceError(
      .badData, "the adapter has no classifier head", try: "save it with its classifier")
  }
  let labels =
    arguments.strings("labels").isEmpty
    ? (0..<head.labelCount).map(String.init) : arguments.list("labels")
  guard labels.count == head.labelCount else {
    throw UserFacingError.usage(
      "--labels names \(labels.count) classes, the head has \(head.labelCount)")
  }
  let sequences = records.map {
    model.tokens($0.text, pair: $0.textPair, maximumTokens: arguments.integer("max-tokens"))
  }
  let logits: [[Float]]
  do {
    logits = try model.encoder.logits(of: sequences, adapters: adapter.adapters, head: head)
  } catch {
    throw ServiceError(
      .badData, "the adapter does not fit the backbone: \(error)",
      try: "use the backbone it was trained on")
  }
  return PredictionResponse(
    predictions: zip(records, logits).map { record, row in
      let scores = row.map(Double.init)
      let best = Aggregation.answer(scores)
      return PredictionResponse.Item(
        id: record.id, label: scores.count == 1 ? "\(scores[0])" : labels[best], logits: scores,
        shards: [])
    })
}

/// Reads texts to classify: lines of JSON that need no label.
func readTexts(_ path: String) throws -> [PredictionRequest.Item] {
  let bytes: [UInt8]
  do {
    bytes = try FileSystem.read(path)
  } catch {
    throw ServiceError(error, while: "reading the texts")
  }
  var items: [PredictionRequest.Item] = []
  for line in TextLines(bytes) where !line.bytes.isEmpty {
    do {
      items.append(
        try JSONDecoder().decode(PredictionRequest.Item.self, from: Data(line.bytes)))
    } catch {
      throw ServiceError(
        .badData, "\(path):\(line.number): not a JSON object with a text",
        try: #"write {"id":"…","text":"…"} on each line"#)
    }
  }
  guard !items.isEmpty else {
    throw ServiceError(.badData, "\(path) is empty", try: "write one JSON object a line")
  }
  return items
}
