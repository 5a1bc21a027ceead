import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Evaluation
import Foundation
import Reporting
import ServiceSupport
import SystemIO

let reportCommand = Command(
  name: "report", summary: "one HTML file about a run, with plots, for people",
  discussion: """
    Asks the coordinator for the run's state, lineage and deletions, evaluates it as lethe \
    evaluate does, and draws all that on one page that needs nothing else: no script, no font, \
    no network. Every plot has its numbers in a table below.
    """,
  arguments: [
    Argument("run", arity: .optional, help: "The run file; default: LETHE_RUN, or lethe.json5.")
  ],
  options: [
    CommandOption("output", .path, default: "report.html", help: "Where to write the page."),
    CommandOption(
      "evaluation", .path, placeholder: "FILE",
      help: "Draw this output of lethe evaluate --format json instead of evaluating again."),
    CommandOption(
      "beside", .path, placeholder: "FILE", repeats: true,
      help: "The same of another run, such as another layout on the same data, to draw beside it."),
    CommandOption("force", .flag, help: "Replace a file that is there."),
  ] + Evaluator.options,
  examples: [
    Example("lethe report lethe.json5 --output report.html", "Evaluates, then draws."),
    Example(
      "lethe report --evaluation s3t.json --beside full.json --beside sisa.json",
      "Three layouts on one page."),
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  try pinNumerics()
  let output = arguments.string("output")
  guard arguments.flag("force") || !FileSystem.exists(output) else {
    throw ServiceError(
      .cannotWrite, "\(output) is there already", try: "choose another --output, or --force")
  }
  let runFile =
    arguments.strings("run").first ?? ProcessInfo.processInfo.environment["LETHE_RUN"]
    ?? "lethe.json5"
  let evaluation =
    try arguments.string(ifGiven: "evaluation").map(readEvaluation)
    ?? Evaluator(runFile: runFile, arguments, console).report()
  let view = try ReportedRun(runFile)
  guard evaluation.run == view.status.run else {
    throw ServiceError(
      .badData, "the evaluation is of \(evaluation.run), the run is \(view.status.run)",
      try: "evaluate this run, or leave --evaluation out")
  }
  let page = RunPage(
    view: view, evaluation: evaluation,
    others: try arguments.strings("beside").map(readEvaluation))
  let bytes = Array(page.page.html.utf8)
  try FileSystem.replace(output, with: bytes)
  try show(ReportResult(output: output, bytes: bytes.count), arguments, console) {
    "wrote \($0.output), \(Humanized.bytes($0.bytes)): open it in a browser"
  }
  return .ok
}

private struct ReportResult: Encodable {
  var output: String
  var bytes: Int
}

private func readEvaluation(_ path: String) throws -> EvaluationReport {
  do {
    return try JSONDecoder().decode(EvaluationReport.self, from: Data(try FileSystem.read(path)))
  } catch let error as SystemCallError {
    throw error
  } catch {
    throw ServiceError(
      .badData, "\(path) is not an evaluation", try: "make one: lethe evaluate --format json")
  }
}

/// What a coordinator says of its run.
struct ReportedRun {
  let status: RunStatus
  let lineages: [ShardLineage]
  let deletions: [DeletionList.Item]
  /// Of the blocks that stand, as many as are drawn.
  let blocks: [BlockLineage]

  /// More blocks add nothing to a curve of means.
  private static let blockLimit = 600

  init(_ runFile: String) throws {
    let file = try readRunFile(runFile)
    let client = try CoordinatorClient(
      directory: resolve(file.coordinator.directory, base: folder(of: runFile)))
    status = try client.get("/v1/status")
    lineages = try status.shards.map { try client.get("/v1/lineage/shards/\($0.shard)") }
    let list: DeletionList = try client.get("/v1/deletions")
    deletions = list.deletions
    let keys = lineages.flatMap(\.sequences).flatMap(\.blocks)
      .filter { $0.state == "trained" }.compactMap(\.key)
    blocks = try keys.prefix(Self.blockLimit).map { try client.get("/v1/lineage/blocks/\($0)") }
  }
}
