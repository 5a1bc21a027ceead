import CoordinatorAPI
import Foundation
import Testing

@Suite("Bad input", .serialized) struct BadInputTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var data: String
    var says: String
    var because: String
    var testDescription: String { because }
  }

  static let rows = [
    Row(data: "", says: "no records", because: "an empty file"),
    Row(
      data: #"{"id":"1","text":"x","label":"a"}"# + "\n" + #"{"id":"1","text":"y","label":"a"}"#
        + "\n",
      says: "line 2", because: "an id that stands twice"),
    Row(
      data: #"{"id":"1","text":"x","label":"a"}"# + "\n{oops\n", says: "line 2",
      because: "a malformed line"),
    Row(
      data: #"{"id":"1","text":"x","label":"z"}"# + "\n", says: "label",
      because: "a label that was not declared"),
    Row(
      data: #"{"id":"1","text":""# + String(repeating: "x", count: 70_000) + #"","label":"a"}"#
        + "\n", says: "over the limit", because: "a text over the limit"),
  ]

  @Test("is refused with its place, and nothing is made", arguments: rows)
  func refusedData(row: Row) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let data = folder.appendingPathComponent("records.jsonl")
    try Data(row.data.utf8).write(to: data)
    let output = folder.appendingPathComponent("run.json5").path
    let result = try Lethe.run([
      "init", "--data", data.path, "--backbone", Lethe.backbone, "--labels", "a,b", "--output",
      output,
    ])
    #expect(result.status == 65)
    #expect(result.errors.contains(row.says), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  @Test("a missing backbone, a wrong run file and a missing coordinator each say so")
  func surroundings() throws {
    let run = try TestRun()
    let missing = try Lethe.run([
      "predict", "--backbone", "/nowhere", "--adapter", "/nowhere", "--text", "x",
    ])
    #expect(missing.status == 66 && missing.errors.contains("try:"))
    let silent = try Lethe.run(["status", "--run", run.runFile])
    #expect(silent.status == 69)
    let file = URL(fileURLWithPath: run.runFile)
    let text = try String(contentsOf: file, encoding: .utf8)
    try Data(text.replacingOccurrences(of: "shards:", with: "shard:").utf8).write(to: file)
    let wrong = try run.refusedCoordinator()
    #expect(wrong.status == 78 && wrong.errors.contains("shard"))
  }

  @Test(
    "a value the run file may not hold is named, and no run begins",
    arguments: [
      ("shards: 2", "shards: 4097"), ("rank: 8", "rank: 0"), ("auditShare: 0", "auditShare: 2"),
      ("deadline: \"gdpr\"", "deadline: \"soon\""),
      ("// maximumWorkers: 1024", "maximumWorkers: 0"),
    ])
  func limits(text: String, replacement: String) throws {
    let run = try TestRun()
    try run.edit(text, to: replacement)
    let refused = try run.refusedCoordinator()
    let key = try #require(replacement.split(separator: ":").first)
    #expect(refused.status == 78, "\(refused.errors)")
    #expect(refused.errors.contains(key) && refused.errors.contains("try:"), "\(refused.errors)")
    #expect(!refused.errors.contains("run_created"))
  }

  @Test("a changed run file and a second coordinator are refused; nothing is lost")
  func changedRun() throws {
    let run = try TestRun()
    try run.startCoordinator()
    #expect(try run.refusedCoordinator().status == 69)
    run.killCoordinator()
    let file = URL(fileURLWithPath: run.runFile)
    let text = try String(contentsOf: file, encoding: .utf8)
    try Data(text.replacingOccurrences(of: "seed: 1", with: "seed: 2").utf8).write(to: file)
    let refused = try run.refusedCoordinator()
    #expect(refused.status == 78 && refused.errors.contains("seed"))
    try Data(text.utf8).write(to: file)
    try run.startCoordinator()
    #expect(try run.status().records == 60)
  }

  @Test("without workers, training waits and says why; predictions say what to start")
  func noWorkers() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try Lethe.run(["train", "--run", run.runFile])
    #expect(try run.status().waiting["no_workers"] == 8)
    let answer = try Lethe.run(["predict", "--text", "x", "--run", run.runFile])
    #expect(answer.status == 69 && answer.errors.contains("try:"))
  }
}
