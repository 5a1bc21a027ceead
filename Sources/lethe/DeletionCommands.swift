import CommandLineKit
import CoordinatorAPI
import Foundation
import ServiceSupport
import SystemIO

let deleteCommand = Command(
  name: "delete", summary: "delete records by id, by person, or with their duplicates",
  discussion: """
    Answers once the deletion is on disk, twice, and no served block depends on the records. Every \
    id has its own outcome; unknown ids change nothing, and an id deleted before is a duplicate. \
    States follow one another: masked, purged (the bytes are gone), repaired (the blocks are \
    retrained), certified (the receipt is final).
    """,
  arguments: [Argument("id", arity: .any, help: "Record ids.")],
  options: CoordinatorClient.options + [
    CommandOption("from", .path, placeholder: "FILE", help: "File with one id a line; - is stdin."),
    CommandOption("subject", .text, placeholder: "S", help: "All live records of this person."),
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
  ], exitCodes: [.changesPlanned, .badData, .unavailable, .tryLater]
) { arguments, console in
  var request = DeletionRequest(
    ids: try ids(arguments), subject: arguments.string(ifGiven: "subject"),
    duplicates: arguments.flag("duplicates") ? true : nil,
    idempotencyKey: arguments.string(ifGiven: "idempotency-key"),
    deadline: arguments.string(ifGiven: "deadline"))
  if let path = arguments.string(ifGiven: "plan") {
    let plan = try readPlan(path)
    request.ids = plan.ids + plan.unknown
    request.expectedPlan = plan.fingerprint
  }
  guard !request.ids.isEmpty || request.subject != nil else {
    throw UserFacingError.usage(
      "no id was given", try: "lethe delete ID, --from FILE, or --subject S")
  }
  let client = try CoordinatorClient(arguments)
  if arguments.flag("dry-run") {
    let plan: DeletionPlanReport = try client.post("/v1/deletions/plan", request)
    try show(plan, arguments, console, text: planText)
    return plan.ids.isEmpty ? .ok : .changesPlanned
  }
  var response: DeletionResponse = try client.post("/v1/deletions", request)
  try waitFor(arguments.string("wait"), &response, client, arguments.number("timeout"))
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
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw ServiceError(.badData, "\(path) is not UTF-8", try: "write one id a line")
  }
  return arguments.strings("id") + text.split(whereSeparator: \.isNewline).map(String.init)
}

private func readPlan(_ path: String) throws -> DeletionPlanReport {
  do {
    return try JSONDecoder().decode(
      DeletionPlanReport.self, from: Data(try FileSystem.read(path)))
  } catch {
    throw ServiceError(
      .badData, "\(path) is not a plan: \(error)",
      try: "save one with lethe delete … --dry-run --format json")
  }
}

private func planText(_ plan: DeletionPlanReport) -> String {
  guard !plan.ids.isEmpty else { return "nothing to delete: no live record was named" }
  var lines = [
    "would delete \(plan.ids.count) records and mask \(plan.blocksMasked) blocks"
      + (plan.unknown.isEmpty ? "" : "; \(plan.unknown.count) ids name no live record")
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
  return table.text
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
  options: CoordinatorClient.options, exitCodes: [.unavailable]
) { arguments, console in
  let list: DeletionList = try CoordinatorClient(arguments).get("/v1/deletions")
  try show(list, arguments, console) { list in
    guard !list.deletions.isEmpty else { return "no deletions" }
    var table = TextTable([
      .right("deletion"), .right("records"), .left("state"), .right("blocks masked"),
      .left("masked"), .left("purged"), .left("repaired"), .left("certified"), .left("due"),
    ])
    for item in list.deletions {
      table.append([
        "\(item.deletion)", "\(item.records)", item.state, "\(item.blocksMasked)", item.maskedAt,
        item.purgedAt ?? "-", item.repairedAt ?? "-", item.certifiedAt ?? "-",
        item.due.prefix(10) + (item.isOverdue ? " OVERDUE" : ""),
      ])
    }
    return table.text
  }
  return .ok
}
