import CoordinatorAPI
import Foundation
import ServiceSupport
import TestKit
import Testing

/// What coordinator and worker say to operators, and how it looks where.
@Suite("Logs and terminals", .serialized) struct LogTests {
  @Test("every event stands in Protocols/logs.md, with its level and meaning")
  func documented() throws {
    let page = try String(
      contentsOf: Lethe.root.appendingPathComponent("Protocols/logs.md"), encoding: .utf8)
    let start = try #require(page.range(of: "| event | level | meaning |\n| - | - | - |\n"))
    let rows = page[start.upperBound...].split(separator: "\n").map(String.init)
    #expect(
      rows
        == LogEvent.allCases.map { "| `\($0.rawValue)` | \($0.level.rawValue) | \($0.meaning) |" })
    for field in Log.Field.allCases { #expect(page.contains("`\(field.rawValue)`")) }
  }

  @Test("one line an event, whatever a peer says")
  func lines() {
    let fields: [Log.Field: Log.Value] = [
      .error: .text("a \"b\"\nc"), .shard: 2, .block: "0123456789ab",
    ]
    #expect(
      Log(component: "coordinator", format: .json).line(.blockFailed, "x\u{1B}[2J", fields, at: 0)
        == #"{"ts":"1970-01-01T00:00:00.000Z","level":"warn","component":"coordinator","#
        + #""event":"block_failed","msg":"x\u001b[2J","block":"0123456789ab","shard":2,"#
        + #""err":"a \"b\"\u000ac"}"#)
    #expect(
      Log(component: "worker").line(.blockFailed, "x\u{1B}[2J", fields, at: 0)
        == #"1970-01-01T00:00:00.000Z warn worker block_failed: x [2J block=0123456789ab shard=2 "#
        + #"err="a "b" c""#)
    #expect(
      Log(component: "worker").line(.draining, at: 0).hasSuffix(
        "draining: a worker finishes what it has and takes no more"))
  }

  struct Line: Decodable {
    let ts: String
    let level: String
    let component: String
    let event: String
    let msg: String
    let deletion: Int?
  }

  /// Words that stand in records and nowhere else.
  static let secrets = ["quixotic", "zanzibar", "marmalade", "obsidian", "walrus"]

  @Test("no line holds an id, a text, a label or a subject")
  func personal() throws {
    let records = (0..<24).map { index in
      #"{"id":"quixotic\#(index)","text":"zanzibar marmalade \#(index % 5)","#
        + #""label":"\#(["obsidian", "granite"][index % 2])","subject":"walrus \#(index % 3)"}"#
    }
    let run = try TestRun(records: records.joined(separator: "\n"), labels: "obsidian,granite")
    try run.startCoordinator(options: ["--log-level", "debug"])
    try run.startWorker(options: ["--log-level", "debug"])
    try run.train()
    let place = ["--run", run.runFile]
    for arguments in [
      ["predict", "--text", "zanzibar marmalade"], ["delete", "quixotic3", "quixotic99"],
      ["delete", "--subject", "walrus 1"], ["delete", "--where", "label=obsidian", "--dry-run"],
      ["lineage", "record", "quixotic4"], ["receipt", "show", "quixotic3"],
      ["delete", "quixotic5", "--wait", "certified", "--timeout", TestRun.timeout],
      ["delete", "\u{7}quixotic"], ["lineage", "block", "quixotic"],
    ] { try Lethe.run(arguments + place) }
    run.workers[0].terminate()
    run.workers[0].waitUntilExit()
    var events: Set<String> = []
    for line in run.log.split(separator: "\n") {
      let parsed = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
      let event = try #require(LogEvent(rawValue: parsed.event), "\(line)")
      #expect(parsed.level == event.level.rawValue && parsed.ts.count == 24 && !parsed.msg.isEmpty)
      #expect(["coordinator", "worker"].contains(parsed.component))
      if parsed.event == "deletion_certified" { #expect(parsed.deletion != nil) }
      events.insert(parsed.event)
      for secret in Self.secrets { #expect(!line.contains(secret), "\(line)") }
    }
    #expect(
      events.isSuperset(of: [
        "run_created", "ready", "worker_joined", "training_requested", "lease_granted",
        "block_committed", "deletion_accepted", "deletion_purged", "deletion_repaired",
        "deletion_certified", "draining", "worker_left", "request_answered",
      ]), "\(events.sorted())")
    // The operation, not what was asked of it.
    #expect(run.log.contains("\"GET /v1/lineage/blocks/{block}: "))
  }

  @Test("a level leaves out what matters less, and a word that is none is refused")
  func levels() throws {
    let run = try TestRun()
    try run.startCoordinator(options: ["--log-level", "warn", "--log-format", "text"])
    try run.startWorker(options: ["--log-level", "error"])
    try run.train()
    #expect(run.log.isEmpty, "\(run.log)")
    let refused = try Lethe.run(["worker", "--run", run.runFile, "--log-level", "loud"])
    #expect(refused.status == 64 && refused.errors.contains("debug, info, warn, error"))
  }

  // MARK: - Terminals

  /// What a person sees: the output of a command on a terminal of its own.
  private static func onTerminal(_ words: [String], environment: [String: String] = [:]) throws
    -> String
  {
    let settings = (["TERM": "xterm", "NO_COLOR": ""].merging(environment) { $1 })
      .map { "\($0.key)='\($0.value)'" }.sorted().joined(separator: " ")
    let command = words.map { "'\($0)'" }.joined(separator: " ")
    let quoted = "env \(settings) \(command)".replacingOccurrences(of: "\"", with: "\\\"")
    return try ShellTests.bash("script -qec \"stty cols 100; \(quoted)\" /dev/null < /dev/null")
      .text
  }

  static let hasScript = FileManager.default.isExecutableFile(atPath: "/usr/bin/script")

  @Test("whoever stops watching a training hears that it goes on")
  func watchEnds() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let log = run.folder.appendingPathComponent("watch.log")
    // Without a worker it would watch for ever.
    let watch = try Lethe.start(["train", "--watch", "--run", run.runFile], log: log)
    try waitUntil("training", seen: try run.status()) {
      try run.status().waiting["no_workers"] != nil
    }
    // From when it takes the signal as its own; the second of 64 bits is SIGINT's.
    let about = "/proc/\(watch.processIdentifier)/status"
    try waitUntil("a handler of SIGINT") {
      try String(contentsOfFile: about, encoding: .utf8).contains(
        /Sig(Ign|Cgt):\t[0-9a-f]{15}[2367abef]\n/)
    }
    watch.interrupt()
    try watch.ended("the end of watching")
    #expect(watch.terminationReason == .exit && watch.terminationStatus == 75)
    #expect(try String(contentsOf: log, encoding: .utf8).contains("training goes on"))
  }

  @Test(
    "training shows a bar on a terminal, and plain lines elsewhere",
    .enabled(if: hasScript, "SKIPPED: no script"))
  func bar() throws {
    let run = try TestRun()
    try run.startCoordinator()
    try run.startWorker()
    let words = ["train", "--watch", "--timeout", TestRun.timeout, "--run", run.runFile]
    let seen = try Self.onTerminal([Lethe.executable.path] + words)
    #expect(seen.contains("\r\u{1B}[Ktraining") && seen.contains("100%  8/8 blocks"), "\(seen)")
    #expect(seen.firstMatch(of: /training  \[#*-*\]/) != nil)
    let piped = try Lethe.run(words)
    #expect(piped.status == 0 && !piped.errors.contains("\u{1B}"))
    // There was nothing left to watch.
    #expect(piped.errors.isEmpty, "\(piped.errors)")
    #expect(!piped.text.contains("\u{1B}"))
  }

  struct Look: Sendable {
    let options: [String]
    let environment: [String: String]
    let isJSON: Bool
    let isColoured: Bool
    let because: String
  }

  static let looks: [Look] = [
    Look(options: [], environment: [:], isJSON: false, isColoured: true, because: "a terminal"),
    Look(
      options: [], environment: ["NO_COLOR": "1"], isJSON: false, isColoured: false,
      because: "NO_COLOR"),
    Look(
      options: [], environment: ["TERM": "dumb"], isJSON: false, isColoured: false,
      because: "a terminal that can do nothing"),
    Look(
      options: ["--log-format", "json"], environment: [:], isJSON: true, isColoured: false,
      because: "asked for"),
  ]

  @Test(
    "a terminal gets text, in colours unless somebody minds",
    .enabled(if: hasScript, "SKIPPED: no script"), arguments: looks)
  func appearance(look: Look) throws {
    let run = try TestRun(coordinator: "developmentMode: true")
    // Killed once it answers, and in any case: its lines about the start have all been written.
    let script = run.folder.appendingPathComponent("until-ready")
    let text = """
      "$@" & coordinator=$!
      until '\(Lethe.executable.path)' status --run '\(run.runFile)' >/dev/null 2>&1; do
        kill -0 $coordinator || exit
        sleep 0.05
      done
      kill -KILL $coordinator
      """
    try Data(text.utf8).write(to: script)
    let seen = try Self.onTerminal(
      [
        "timeout", "\(Pace.patience(quiet: 3))", "bash", script.path, Lethe.executable.path,
        "coordinator", "--run", run.runFile,
      ] + look.options, environment: look.environment)
    let line = try #require(
      seen.split(whereSeparator: \.isNewline).first { $0.contains("development_mode") },
      "\(look.because): \(seen)")
    #expect(line.hasPrefix("{\"ts\":") == look.isJSON, "\(look.because): \(line)")
    #expect(line.contains("\u{1B}[33mwarn\u{1B}[0m") == look.isColoured, "\(look.because): \(line)")
    #expect(seen.contains("\u{1B}") == look.isColoured, "\(look.because): \(seen)")
  }
}
