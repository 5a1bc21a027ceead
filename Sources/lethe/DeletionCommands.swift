import ByteCoding
import CommandLineKit
import CoordinatorAPI
import Datasets
import Evaluation
import Foundation
import ServiceSupport
import SystemIO
import Training
import Unlearning

let deleteCommand = Command(
  name: "delete", summary: "delete records by id, person or label, or with their duplicates",
  discussion: """
    Answers once the deletion is on disk, twice, and no served block depends on the records. Every \
    id has its own outcome; unknown ids change nothing, and an id deleted before is a duplicate. \
    States follow one another: masked, purged (the bytes are gone), repaired (the blocks are \
    retrained), certified (the receipt is final).
    """,
  arguments: [Argument("id", arity: .any, help: "Record ids.")],
  options: CoordinatorClient.options + [
    CommandOption(
      "from", .path, placeholder: "FILE",
      help: "File with one id a line, which LF or CRLF ends; - is stdin."),
    CommandOption("subject", .text, placeholder: "S", help: "All live records of this person."),
    CommandOption(
      "where", .text, placeholder: "CONDITION", repeats: true,
      help: """
        All live records that label=TEXT and subject=TEXT hold for, each at most once; or the \
        records of a file, .jsonl or .csv, as of a batch that turned out to be poisoned.
        """),
    CommandOption(
      "measure", .path, placeholder: "FILE",
      help: """
        Texts with labels: how good the answers to them are before, and in the state that --wait \
        names. Needs a worker that serves.
        """),
    CommandOption(
      "duplicates", .flag, help: "Also records under other ids with exactly the same payload."),
    CommandOption(
      "dry-run", .flag,
      help: "Print what would happen and change nothing; exit 2 if anything would."),
    CommandOption(
      "plan", .path, placeholder: "FILE",
      help: "Do what a saved --dry-run --format json planned; refused if the run has changed."),
    CommandOption(
      "idempotency-key", .text, placeholder: "KEY",
      help: "The same key again is the same request, with the same answer."),
    CommandOption(
      "ticket", .text, placeholder: "T",
      help: "Under which the request is known elsewhere; shown by deletions, in no receipt."),
    CommandOption(
      "reason", .text, placeholder: "R", help: "Why, in words without names; shown likewise."),
    CommandOption(
      "deadline", .text, placeholder: "POLICY",
      help: "gdpr (a calendar month), ccpa (45 days) or days:N; default: the run file's."),
    CommandOption(
      "wait", .choice(deletionStates), default: "masked", help: "Which state to wait for."),
    CommandOption(
      "timeout", .number(0...1e9), placeholder: "SECONDS", default: "3600",
      help: "Give up waiting after this long (exit 75); the deletion itself stands."),
  ],
  examples: [
    Example("lethe delete n01740131", "One record, masked when it returns."),
    Example("lethe delete --subject jane --dry-run", "What forgetting a person would take."),
    Example(
      "lethe delete --from ids.txt --wait certified", "Many, until their receipts are final."),
    Example(
      "lethe delete --where batch.jsonl --measure test.jsonl --wait repaired",
      "A poisoned batch, and what it did to the answers."),
  ], exitCodes: CoordinatorClient.exitCodes + [.changesPlanned]
) { arguments, console in
  var request = DeletionRequest(
    ids: try ids(arguments), subject: arguments.string(ifGiven: "subject"),
    duplicates: arguments.flag("duplicates") ? true : nil,
    idempotencyKey: arguments.string(ifGiven: "idempotency-key"),
    deadline: arguments.string(ifGiven: "deadline"),
    ticket: arguments.string(ifGiven: "ticket"), reason: arguments.string(ifGiven: "reason"))
  try add(arguments.strings("where"), to: &request)
  if let path = arguments.string(ifGiven: "plan") {
    let plan = try readPlan(path)
    request.ids = plan.ids + plan.unknown
    request.expectedPlan = plan.fingerprint
  }
  guard !request.ids.isEmpty || request.subject != nil || request.label != nil else {
    throw UserFacingError.usage(
      "no id was given", try: "lethe delete ID, --from FILE, --subject S, or --where label=TEXT")
  }
  let client = try CoordinatorClient(arguments)
  if arguments.flag("dry-run") {
    let plan: DeletionPlanReport = try client.post("/v1/deletions/plan", request)
    try show(plan, arguments, console, text: planText)
    return plan.ids.isEmpty ? .badData : .changesPlanned
  }
  let yardstick = try arguments.string(ifGiven: "measure").map { try Yardstick($0, client) }
  let before = try yardstick?.measure("before")
  var response: DeletionResponse = try client.post("/v1/deletions", request)
  let state = arguments.string("wait")
  try waitFor(state, &response, client, arguments.number("timeout"))
  if let yardstick, let before {
    response.measured = [before, try yardstick.measure(state)]
  }
  try show(response, arguments, console, text: responseText)
  let isRefused = response.requests.contains { $0.outcome == .unknown || $0.outcome == .invalid }
  return isRefused ? .badData : .ok
}

private let deletionStates = ["masked", "purged", "repaired", "certified"]

/// The ids of the command line, then those of the file.
private func ids(_ arguments: ParsedArguments) throws -> [String] {
  guard let path = arguments.string(ifGiven: "from") else { return arguments.strings("id") }
  let bytes =
    path == "-" ? Array(FileHandle.standardInput.readDataToEndOfFile()) : try FileSystem.read(path)
  guard String(validating: bytes, as: UTF8.self) != nil else {
    throw ServiceError(.badData, "\(path) is not UTF-8", try: "write one id a line")
  }
  // An id may hold U+2028, at which Swift would cut a line: then others would be deleted.
  return arguments.strings("id")
    + TextLines(bytes).filter { !$0.bytes.isEmpty }.map {
      String(decoding: $0.bytes, as: UTF8.self)
    }
}

private func readPlan(_ path: String) throws -> DeletionPlanReport {
  let bytes = try FileSystem.read(path)
  guard let plan = try? JSONDecoder().decode(DeletionPlanReport.self, from: Data(bytes)) else {
    throw ServiceError(
      .badData, "\(path) is not a plan", try: "save one with lethe delete … --dry-run --format json"
    )
  }
  return plan
}

private func planText(_ plan: DeletionPlanReport) -> String {
  guard !plan.ids.isEmpty else { return "nothing to delete: none of the ids names a live record" }
  var lines = [
    "would delete \(Humanized.count(plan.ids.count, "record")) and mask "
      + Humanized.count(plan.blocksMasked, "block")
      + (plan.unknown.isEmpty
        ? "" : "; ids that name no live record: \(Humanized.count(plan.unknown.count))")
  ]
  var table = TextTable([.left("shard"), .right("serves now"), .right("and then")])
  for shard in plan.shards {
    table.append(["\(shard.shard)", "\(shard.depthBefore)", "\(shard.depthAfter)"])
  }
  lines.append(table.text)
  let time = plan.secondsToRepair.map { "about \(Humanized.fixed($0, digits: 1)) s" }
  lines.append(
    "repair: \(plan.stagePasses) stage-passes, \(time ?? "a time that is not measured yet")")
  return lines.joined(separator: "\n")
}

private func responseText(_ response: DeletionResponse) -> String {
  var table = TextTable([
    .left("id"), .left("outcome"), .left("state"), .right("blocks masked"), .right("after ms"),
    .right("duplicates"), .left("due"),
  ])
  for item in response.requests {
    table.append([
      item.id, item.outcome.rawValue, item.state, "\(item.blocksMasked)",
      Humanized.fixed(item.acknowledgedAfterMs, digits: 1),
      item.duplicatesElsewhere.map(String.init) ?? "-", String(item.due?.prefix(10) ?? "-"),
    ])
  }
  guard let measured = response.measured else { return table.text }
  return "\(table.text)\n\n\(measuredText(measured))"
}

private func measuredText(_ measured: [DeletionResponse.Measurement]) -> String {
  func text(_ number: Double?) -> String { number.map { Humanized.fixed($0, digits: 4) } ?? "-" }
  let isRegression = measured.contains { $0.squaredError != nil }
  var table = TextTable(
    [.left("state"), .right("texts")]
      + (isRegression ? [.right("squared error")] : [.right("accuracy"), .right("loss")]))
  for item in measured {
    table.append(
      [item.state, "\(item.texts)"]
        + (isRegression
          ? [text(item.squaredError)] : [text(item.accuracy), text(item.loss)]))
  }
  return table.text
}

/// Texts whose answers are known, to see what a deletion does to the coordinator's.
private struct Yardstick {
  private let items: [PredictionRequest.Item]
  private let targets: [Target]
  private let client: CoordinatorClient

  init(_ path: String, _ client: CoordinatorClient) throws {
    let recipe: RecipeDescription = try client.get("/v1/recipe")
    let records = try readEvaluationRecords(path, labels: recipe.labels)
    guard !records.isEmpty else {
      throw ServiceError(.badData, "\(path) holds no record", try: "name one with texts and labels")
    }
    items = records.map { PredictionRequest.Item(text: $0.text, textPair: $0.textPair) }
    targets = records.map { record in
      recipe.labels.count == 1
        ? .value(Double(record.label) ?? .nan)
        : .label(recipe.labels.firstIndex(of: record.label) ?? 0)
    }
    self.client = client
  }

  /// Nothing is measured where no shard answers: that is a result too.
  func measure(_ state: String) throws -> DeletionResponse.Measurement {
    let status: RunStatus = try client.get("/v1/status")
    guard status.shards.contains(where: { $0.depth > 0 }) else {
      return DeletionResponse.Measurement(state: state, texts: items.count)
    }
    let response = try predict(items, client)
    let scores = response.predictions.map(\.logits)
    let rule = response.aggregation.flatMap(Aggregation.init) ?? .meanLogits
    let values: [Double] = targets.compactMap {
      if case .value(let value) = $0 { value } else { nil }
    }
    guard values.isEmpty else {
      return DeletionResponse.Measurement(
        state: state, texts: items.count,
        squaredError: Deviation(scores, values: values).meanSquaredError)
    }
    let labels: [Int] = targets.compactMap { if case .label(let label) = $0 { label } else { nil } }
    let quality = Quality(scores, labels: labels, by: rule)
    return DeletionResponse.Measurement(
      state: state, texts: items.count, accuracy: quality.accuracy, loss: quality.loss)
  }
}

/// Adds what the conditions of `--where` ask for.
private func add(_ conditions: [String], to request: inout DeletionRequest) throws {
  func once(_ value: String?, _ name: String) throws {
    guard value == nil else { throw UserFacingError.usage("\(name) is given twice") }
  }
  for condition in conditions {
    if condition.hasPrefix("label=") {
      try once(request.label, "--where label=")
      request.label = String(condition.dropFirst("label=".count))
    } else if condition.hasPrefix("subject=") {
      try once(request.subject, "--subject")
      request.subject = String(condition.dropFirst("subject=".count))
    } else if !FileSystem.exists(condition), let equals = condition.firstIndex(of: "=") {
      throw UserFacingError.usage(
        "--where knows no \(condition[..<equals])", try: "use label=, subject= or a file's name")
    } else {
      let contents = try readDatasetContents(condition, labels: nil)
      request.ids += (contents.training + contents.evaluation.map(\.record)).map(\.id.text)
    }
  }
}

private func waitFor(
  _ state: String, _ response: inout DeletionResponse, _ client: CoordinatorClient,
  _ timeoutSeconds: Double
) throws {
  let wanted = deletionStates.firstIndex(of: state) ?? 0
  let numbers = Set(response.requests.compactMap(\.deletion))
  let deadline = SystemClock.seconds + timeoutSeconds
  while wanted > 0, !numbers.isEmpty {
    let list: DeletionList = try client.get("/v1/deletions")
    let states = Dictionary(uniqueKeysWithValues: list.deletions.map { ($0.deletion, $0.state) })
    for index in response.requests.indices {
      if let number = response.requests[index].deletion, let state = states[number] {
        response.requests[index].state = state
      }
    }
    if numbers.allSatisfy({ deletionStates.firstIndex(of: states[$0] ?? "") ?? 0 >= wanted }) {
      return
    }
    guard SystemClock.seconds < deadline else {
      throw ServiceError(
        .tryLater, "the deletion is masked, but not \(state) yet",
        try: "lethe deletions shows how far it is; lethe status what it waits for")
    }
    SystemClock.sleep(seconds: 0.1)
  }
}

let deletionsCommand = Command(
  name: "deletions", summary: "list deletions, the times of their states, and when they are due",
  options: CoordinatorClient.options, exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let list: DeletionList = try CoordinatorClient(arguments).get("/v1/deletions")
  try show(list, arguments, console) { list in
    guard !list.deletions.isEmpty else { return "no deletions" }
    let hasOrigins = list.deletions.contains {
      $0.ticket != nil || $0.reason != nil || $0.askedBy ?? "token" != "token"
    }
    var table = TextTable(
      [
        .right("deletion"), .right("records"), .left("state"), .right("blocks masked"),
        .left("masked"), .left("purged"), .left("repaired"), .left("certified"), .left("due"),
      ] + (hasOrigins ? [.left("asked by"), .left("ticket"), .left("reason")] : []))
    for item in list.deletions {
      let origin = [item.askedBy ?? "-", item.ticket ?? "-", item.reason ?? "-"]
      table.append(
        [
          "\(item.deletion)", "\(item.records)", item.state, "\(item.blocksMasked)", item.maskedAt,
          item.purgedAt ?? "-", item.repairedAt ?? "-", item.certifiedAt ?? "-",
          item.due.prefix(10) + (item.isOverdue ? " OVERDUE" : ""),
        ] + (hasOrigins ? origin : []))
    }
    return ([table.text] + list.deletions.compactMap(waitText)).joined(separator: "\n")
  }
  return .ok
}

/// What a deletion waits for, a line each.
private func waitText(_ item: DeletionList.Item) -> String? {
  var lines = (item.waitsFor ?? []).map { "deletion \(item.deletion) waits for \(waitText($0))" }
  if let count = item.workersCutOff {
    lines.append(
      "deletion \(item.deletion) was purged without "
        + Humanized.count(Int(count), "worker", plural: "workers")
        + " that did not confirm and were cut off")
  }
  return lines.isEmpty ? nil : lines.joined(separator: "\n")
}

func waitText(_ wait: DeletionList.Wait) -> String {
  "\(wait.place)\(wait.subject.map { " \($0)" } ?? "") since \(wait.since)"
    + (wait.reason.map { ": \($0)" } ?? "")
}
