import ByteCoding
import CommandLineKit
import CoordinatorAPI
import Foundation
import HTTP
import ServiceSupport
import SystemIO

let trainCommand = Command(
  name: "train", summary: "start training, or repair everything masked by now",
  discussion: "Returns at once; with --watch it follows until every block stands.",
  options: CoordinatorClient.options + [
    CommandOption(
      "class", .text, placeholder: "CLASS",
      help: "Pin the run to this numeric class, as lethe doctor and status show it; only while no "
        + "block has been trained."),
    CommandOption("watch", .flag, help: "Follow with a progress bar until nothing is missing."),
    CommandOption(
      "timeout", .number(0...1e9), placeholder: "SECONDS", default: "86400",
      help: "With --watch: give up after this long (exit 75)."),
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let client = try CoordinatorClient(arguments)
  var status: RunStatus = try client.post(
    "/v1/train", arguments.string(ifGiven: "class").map { TrainingWish(numericClass: $0) })
  if arguments.flag("watch") {
    status = try watch(client, console, timeoutSeconds: arguments.number("timeout"))
  }
  try show(status, arguments, console, text: statusText)
  return .ok
}

/// Follows training until every block stands.
///
/// - Throws: `ServiceError` if time runs out or what is missing can't be trained any more.
@discardableResult
func watch(_ client: CoordinatorClient, _ console: Console, timeoutSeconds: Double) throws
  -> RunStatus
{
  let deadline = SystemClock.seconds + timeoutSeconds
  var status: RunStatus = try client.get("/v1/status")
  if status.blocksTrained == status.blocks { return status }
  let stopped = Promise<CInt>()
  let signals = TerminationSignals { stopped.fulfil($0) }
  defer { signals.cancel() }
  let progress = console.progress(
    "training", total: status.blocks, unit: "blocks", alreadyCompleted: status.blocksTrained)
  defer { progress.finish() }
  while true {
    progress.update(completed: status.blocksTrained)
    if status.blocksTrained == status.blocks { return status }
    if let stuck = status.waiting.keys.sorted().first(where: {
      $0.hasPrefix("poisoned") || $0 == "quarantined"
    }), status.blocksTraining == 0 {
      throw ServiceError(
        .failure, "training stopped: \(stuck)",
        try: "mend the cause, then run lethe train again: it gives such blocks new attempts")
    }
    guard SystemClock.seconds < deadline else {
      let reasons = status.waiting.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      throw ServiceError(
        .tryLater, "not all blocks stand yet; waiting: \(reasons.joined(separator: ", "))",
        try: "lethe status shows what each waits for")
    }
    if stopped.wait(seconds: 0.2) != nil {
      throw ServiceError(
        .tryLater, "nobody watches any more; training goes on",
        try: "lethe train --watch follows it again; lethe status shows where it is")
    }
    status = try client.get("/v1/status")
  }
}

let statusCommand = Command(
  name: "status", summary: "show depth by shard, queue, workers, and why anything waits",
  options: CoordinatorClient.options, exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  try show(
    CoordinatorClient(arguments).get("/v1/status") as RunStatus, arguments, console,
    text: statusText)
  return .ok
}

func statusText(_ status: RunStatus) -> String {
  var lines = [
    "run \(status.run.visible) (\(status.layout)) at journal \(status.journalSequence): "
      + "\(Humanized.count(status.records, "record")), \(status.deleted) deleted, "
      + "\(Humanized.count(status.deletionsPending, "deletion")) in progress",
    "blocks: \(status.blocksTrained) of \(status.blocks) trained, \(status.blocksMasked) masked, "
      + "\(status.blocksTraining) training",
    "repair: \(status.repair.policy), \(status.repair.rule)"
      + (status.repair.slicesPerHour.map {
        "; budget \($0) slices an hour, \(status.repair.slicesLeft ?? 0) left"
      } ?? ""),
  ]
  for (reason, count) in status.waiting.sorted(by: { $0.key < $1.key }) {
    lines.append("  \(count) waiting: \(reason.visible)")
  }
  var shards = TextTable([.left("shard"), .right("records"), .left("serves"), .left("sequences")])
  for shard in status.shards {
    let bar =
      String(repeating: "█", count: shard.depth)
      + String(repeating: "░", count: status.fullDepth - shard.depth)
    shards.append([
      "\(shard.shard)", "\(shard.records)", "\(bar) \(shard.depth)/\(status.fullDepth)",
      shard.sequenceDepths.map(String.init).joined(separator: " "),
    ])
  }
  lines.append(shards.text)
  if status.workers.isEmpty {
    lines.append("no workers: start one with lethe worker")
  } else {
    var workers = TextTable([.left("worker"), .left("roles"), .left("now")])
    for worker in status.workers {
      let now =
        worker.training.map {
          "training block \($0), step \(worker.step ?? 0) of \(worker.totalSteps ?? 0)"
        } ?? worker.reason ?? "idle"
      workers.append([worker.name, worker.roles.joined(separator: ","), now])
    }
    lines.append(workers.text)
  }
  if !status.stages.isEmpty { lines.append(speedText(status.stages)) }
  let entries = Humanized.count(Int(status.ledgerSize), "entry", plural: "entries")
  lines.append("ledger: \(entries), root \(status.ledgerRoot.prefix(16))")
  let audit = status.audit
  if audit.checked + audit.waiting > 0 {
    let rate = audit.matchRate.map { Humanized.fixed(100 * $0, digits: 1) + " %" } ?? "none yet"
    lines.append(
      "audit: \(audit.checked) blocks retrained, same bits: \(rate), \(audit.waiting) waiting")
    if let repeated = audit.repeated, repeated > 0 {
      lines.append(
        "audit: \(repeated) of them repeated by the same key, which confirms nothing independently")
    }
    if let abandoned = audit.abandoned, abandoned > 0 {
      lines.append("audit: \(abandoned) given up after too many attempts; see the alarms")
    }
  }
  for wait in status.purgeWaitsFor { lines.append("purge waits for \(waitText(wait))") }
  for alarm in status.alarms { lines.append("ALARM: \(alarm.visible)") }
  return lines.joined(separator: "\n")
}

func speedText(_ stages: [RunStatus.StageSpeed]) -> String {
  var table = TextTable([
    .left("stage"), .left("layers"), .right("blocks"), .right("examples/s"), .right("in GEMM"),
    .right("prefix kept"),
  ])
  for stage in stages {
    table.append([
      "\(stage.stage)", stage.layers.map(String.init).joined(separator: ","), "\(stage.blocks)",
      Humanized.fixed(stage.examplesPerSecond, digits: 0),
      Humanized.fixed(100 * stage.gemmShare, digits: 0) + " %",
      stage.keptShare.map { Humanized.fixed(100 * $0, digits: 0) + " %" } ?? "",
    ])
  }
  return table.text
}

// MARK: - Lineage

private let atOption = CommandOption(
  "at", .integer(2...Int.max), placeholder: "SEQ",
  help: "As of an earlier journal sequence; default: now.")

let lineageCommand = Command(
  name: "lineage", summary: "which blocks saw a record, and what a block was made from",
  verbs: [
    Command(
      name: "record", summary: "where a record lies and which blocks depend on it",
      arguments: [Argument("id", help: "The record's id.")],
      options: CoordinatorClient.options + [atOption], exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let id = arguments.string("id").percentEncoded
      let lineage: RecordLineage = try CoordinatorClient(arguments).get(
        "/v1/lineage/records?id=\(id)" + at(arguments, "&"))
      try show(lineage, arguments, console) { lineage in
        guard lineage.state == "live" else { return lineage.state }
        return
          (["live in shard \(lineage.shard ?? 0), slice \(lineage.slice ?? 0)"]
          + lineage.blocks.map { "  block \($0)" }).joined(separator: "\n")
      }
      return .ok
    },
    Command(
      name: "shard", summary: "a shard's slices, sequences and blocks",
      arguments: [Argument("number", .integer(0...Int.max), help: "The shard.")],
      options: CoordinatorClient.options + [atOption], formats: [.table, .json, .dot],
      exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let lineage: ShardLineage = try CoordinatorClient(arguments).get(
        "/v1/lineage/shards/\(arguments.integer("number"))" + at(arguments, "?"))
      try show(lineage, arguments, console) {
        arguments.format == .dot ? dotText($0) : shardText($0)
      }
      return .ok
    },
    Command(
      name: "block", summary: "everything that shaped one block",
      arguments: [Argument("key", help: "The block's key, or its first digits.")],
      options: CoordinatorClient.options + [atOption], exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let lineage: BlockLineage = try CoordinatorClient(arguments).get(
        "/v1/lineage/blocks/\(arguments.string("key").percentEncoded)" + at(arguments, "?"))
      try show(lineage, arguments, console, text: blockText)
      return .ok
    },
    lineageExportCommand,
  ])

private func at(_ arguments: ParsedArguments, _ separator: String) -> String {
  arguments.integer(ifGiven: "at").map { "\(separator)at=\($0)" } ?? ""
}

func shardText(_ lineage: ShardLineage) -> String {
  let slices = lineage.slices.map { "slice \($0.slice): \($0.records)" }
  var table = TextTable([
    .left("sequence"), .left("stage"), .left("layers"), .left("slices"), .left("state"),
    .left("key"), .left("artifact"),
  ])
  for sequence in lineage.sequences {
    for block in sequence.blocks {
      table.append([
        block.stage == 1 ? "\(sequence.sequence) \(sequence.order)" : "", "\(block.stage)",
        block.layers.map(String.init).joined(separator: ","),
        block.slices.map(String.init).joined(separator: ","),
        block.reason.map { "\(block.state): \($0)" } ?? block.state,
        String(block.key?.prefix(12) ?? "-"), String(block.artifact?.prefix(12) ?? "-"),
      ])
    }
  }
  return "shard \(lineage.shard)  records by \(slices.joined(separator: ", "))\n\(table.text)"
}

func dotText(_ lineage: ShardLineage) -> String {
  var lines = ["digraph shard\(lineage.shard) {", "  rankdir=LR; node [shape=box];"]
  for slice in lineage.slices {
    lines.append(
      "  slice\(slice.slice) [label=\"slice \(slice.slice)\\n\(slice.records) records\"];")
  }
  for sequence in lineage.sequences {
    for block in sequence.blocks {
      let name = "b\(sequence.sequence)_\(block.stage)"
      let colour = block.state == "trained" ? "palegreen" : "lightgrey"
      lines.append(
        "  \(name) [style=filled fillcolor=\(colour) label=\"sequence \(sequence.sequence) "
          + "stage \(block.stage)\\nlayers \(block.layers)\\n\(block.state)\"];")
      if block.stage > 1 { lines.append("  b\(sequence.sequence)_\(block.stage - 1) -> \(name);") }
      for slice in block.slices { lines.append("  slice\(slice) -> \(name) [style=dotted];") }
    }
  }
  return (lines + ["}"]).joined(separator: "\n")
}

func blockText(_ block: BlockLineage) -> String {
  var lines = [
    "block \(block.key)",
    "  shard \(block.shard), sequence \(block.sequence), stage \(block.stage), layers "
      + block.layers.map(String.init).joined(separator: ","),
    "  state     \(block.state)\(block.reason.map { ": \($0.visible)" } ?? "")",
    "  artifact  \(block.artifact ?? "-")",
    "  parent    \(block.parent ?? "-")",
    "  seed      \(block.seed)",
    "  recipe    \(block.recipe)",
    "  backbone  \(block.backbone)",
    "  class     \(block.numericClass.visible)",
  ]
  for slice in block.slices {
    lines.append("  slice \(slice.slice)   \(slice.digest) (\(slice.records) records)")
  }
  for child in block.children { lines.append("  child     \(child)") }
  if let worker = block.worker, let time = block.trainedAt {
    lines.append(
      "  trained   \(time) by \(worker.visible): \(block.steps ?? 0) steps, "
        + "\(Humanized.fixed(block.examplesPerSecond ?? 0, digits: 0)) examples/s, "
        + "\(Humanized.fixed(100 * (block.gemmShare ?? 0), digits: 0)) % in GEMM, "
        + "last loss \(Humanized.fixed(block.finalLoss ?? 0, digits: 4))")
  }
  return lines.joined(separator: "\n")
}

// MARK: - Verification

let verifyCommand = Command(
  name: "verify", summary: "recompute every key from the records on disk; retrain and compare bits",
  discussion: """
    Always recomputes every block's key from the records on disk and every artifact's digest, \
    looks whether each artifact has the tensors that its place demands, and for files that \
    nothing explains. With --sample or --full, workers train blocks again, \
    each by another worker than the first time if there is one, and their bits are compared. Exit \
    0 only if there is no problem.
    """,
  options: CoordinatorClient.options + [
    CommandOption(
      "sample", .number(0...1), placeholder: "F", help: "Retrain this share of the blocks."),
    CommandOption("full", .flag, help: "Retrain every block."),
    CommandOption(
      "timeout", .number(0...1e9), placeholder: "SECONDS", default: "86400",
      help: "Give up on retraining after this long (exit 75)."),
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let client = try CoordinatorClient(arguments)
  var report: VerificationReport = try client.post("/v1/verify", timeoutSeconds: 3600)
  let share = arguments.flag("full") ? 1 : arguments.number(ifGiven: "sample") ?? 0
  if share > 0 {
    let audit = try retrain(share, client, console, timeoutSeconds: arguments.number("timeout"))
    report.bitsChecked = audit.checked
    report.bitsMatch = audit.matched
    if audit.matched < audit.checked {
      report.problems.append("\(audit.checked - audit.matched) blocks came out with other bits")
    }
  }
  try show(report, arguments, console) { report in
    (["\(report.blocksChecked) blocks checked, \(report.keysMatch) keys match"]
      + (share > 0
        ? ["\(report.bitsChecked) retrained, \(report.bitsMatch) with the same bits"] : [])
      + report.problems.map { "PROBLEM: \($0)" }).joined(separator: "\n")
  }
  return report.problems.isEmpty ? .ok : .failure
}

/// Has a share of the blocks trained again; what came of those alone.
private func retrain(
  _ share: Double, _ client: CoordinatorClient, _ console: Console, timeoutSeconds: Double
) throws -> (checked: Int, matched: Int) {
  let before = (try client.get("/v1/status") as RunStatus).audit
  var now: AuditReport = try client.post("/v1/audits", AuditRequest(share: share))
  let deadline = SystemClock.seconds + timeoutSeconds
  let progress = console.progress(
    "retraining", total: now.waiting + now.checked - before.checked, unit: "blocks")
  defer { progress.finish() }
  while now.waiting > 0 {
    guard SystemClock.seconds < deadline else {
      throw ServiceError(
        .tryLater, "\(now.waiting) blocks wait to be retrained",
        try: "see with lethe status whether a worker is idle; audits come after training")
    }
    SystemClock.sleep(seconds: 0.2)
    now = (try client.get("/v1/status") as RunStatus).audit
    progress.update(completed: now.checked - before.checked)
  }
  return (now.checked - before.checked, now.matched - before.matched)
}
