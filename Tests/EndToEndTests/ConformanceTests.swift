import CoordinatorAPI
import Foundation
import Hashing
import Testing
import WireFormat

/// The coordinator and a client that was written from `Protocols/wire.md` alone.
@Suite("Conformance: a stranger's client and a real coordinator", .serialized)
struct ConformanceTests {
  static let python = URL(fileURLWithPath: "/usr/bin/python3")
  static let isPresent = FileManager.default.isExecutableFile(atPath: python.path)

  private static let client =
    Lethe.root.appendingPathComponent("Tests/Conformance/lethe_client.py").path

  /// Runs the client once: it takes one lease at most.
  private func client(_ run: TestRun, key: String?, _ options: [String] = []) throws
    -> Lethe.Output
  {
    let keyed = key.map { ["--key-file", $0] } ?? []
    return try Lethe.run(
      [
        "-B", Self.client, "--address", try run.endpoint("workers"), "--backbone-digest",
        try WireClient.backbone.get().hex,
      ] + keyed + options, executable: Self.python)
  }

  @Test(
    "says hello with a key, leases, beats, fetches, uploads in chunks and drains",
    .enabled(if: isPresent, "NEEDS PYTHON3: ops/install-prerequisites"))
  func conversation() throws {
    let run = try TestRun()
    // Blocks that take more than one chunk of the largest size.
    try run.edit("rank: 8", to: "rank: 1024")
    try run.startCoordinator()
    let (_, key) = try run.makeKey("stranger", role: .worker)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    struct Row {
      var options: [String]
      var because: String
    }
    let rows = [
      Row(options: [], because: "two chunks, one of the largest size"),
      Row(options: ["--chunk", "65000"], because: "many small chunks"),
      Row(options: ["--hold", "7"], because: "a lease that needs heartbeats"),
    ]
    let shape = URL(fileURLWithPath: Lethe.backbone).appendingPathComponent("config.json").path
    // Until a lease of a second stage has come, which names the artifacts of the first.
    var said = ""
    for turn in 0..<8 {
      let row = rows[min(turn, rows.count - 1)]
      let options = turn < rows.count ? row.options : []
      let output = try client(run, key: key, ["--make-up", shape] + options)
      try #require(output.status == 0, "\(row.because): \(output.text) \(output.errors)")
      #expect(output.text.contains("welcome: 3 labels") && output.text.contains("heard: lease "))
      #expect(output.text.contains(" bytes: accepted") && !output.text.contains("gone"))
      said += output.text
    }
    #expect(said.contains("slice 1: ") && said.contains("artifact "), "\(said)")
    let status = try run.status()
    #expect(status.blocksTrained == 8 && status.alarms.isEmpty, "\(run.log)")
    #expect(!run.log.contains("worker_connection_failed"), "\(run.log)")
    let idle = try client(run, key: key, ["--wait", "0.5"])
    #expect(idle.status == 0 && idle.text.contains("no work came"), "\(idle.errors)")
  }

  @Test(
    "is told why what it hands in is refused",
    .enabled(if: isPresent, "NEEDS PYTHON3: ops/install-prerequisites"))
  func refused() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (_, key) = try run.makeKey("stranger", role: .worker)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    let output = try client(run, key: key, ["--upload", run.runFile])
    #expect(output.status == 1 && output.text.contains("bytes: invalid artifact"))
    #expect(output.text.contains("because the artifact is not the block"), "\(output.text)")
  }

  @Test(
    "is refused without the right key, and without the right role",
    .enabled(if: isPresent, "NEEDS PYTHON3: ops/install-prerequisites"))
  func refusals() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (key, path) = try run.makeKey("stranger", role: .worker)
    let line = key.line
    func file(_ name: String, _ line: String) throws -> String {
      let file = run.folder.appendingPathComponent(name)
      try Data(line.utf8).write(to: file)
      return file.path
    }
    let secret = key.secret.hex
    let rows: [(key: String?, reason: String, because: String)] = [
      (
        try file("wrong", line.replacingOccurrences(of: secret, with: String(secret.reversed()))),
        "does not know this key's secret", "a known id with another secret"
      ),
      (
        try file(
          "unknown",
          line.replacingOccurrences(of: key.id.hex, with: String(key.id.hex.reversed()))),
        "does not know this key's secret", "an unknown id is answered like a known one"
      ),
      (nil, "does not know this key's secret", "the development key, outside development mode"),
      (try run.makeKey("eye", role: .reader).path, "turned away (role)", "a reader is no worker"),
      (try run.makeKey("front", role: .serve).path, "turned away (role)", "it may not train"),
    ]
    for row in rows {
      let output = try client(run, key: row.key, ["--wait", "0.2"])
      #expect(
        output.status == 1 && output.errors.contains(row.reason),
        "\(row.because): \(output.text) \(output.errors)")
    }
    #expect(try Lethe.run(["key", "revoke", "stranger", "--run", run.runFile]).status == 0)
    #expect(try client(run, key: path, ["--wait", "0.2"]).status == 1, "a revoked key")
    #expect(try run.status().workers.isEmpty)
  }
}
