import CoordinatorAPI
import Evaluation
import Foundation
import Testing
import Unlearning

@Suite("Layouts, rules and tasks", .serialized) struct LayoutTests {
  /// A run whose file was changed before its first start.
  static func trained(_ edits: [(String, String)], records: String = TestRun.jsonLines()) throws
    -> TestRun
  {
    let run = try TestRun(records: records, epochs: 2)
    for (text, replacement) in edits { try run.edit(text, to: replacement) }
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return run
  }

  static func predict(_ run: TestRun, _ options: String...) throws -> PredictionResponse {
    try Lethe.json(["predict", "--run", run.runFile, "--text", "a small bird"] + options)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    var layout: String
    var edits: [(String, String)]
    var depth: Int
    var layers: [[Int]]
    var testDescription: String { layout }
  }

  static let rows = [
    Row(
      layout: "sisa", edits: [("sequences: 2", "sequences: 1")], depth: 2,
      layers: [[2, 3], [0, 1]]),
    Row(
      layout: "full",
      edits: [
        ("shards: 2", "shards: 1"), ("slices: 2", "slices: 1"), ("sequences: 2", "sequences: 1"),
      ], depth: 1, layers: [[0, 1, 2, 3]]),
    Row(
      layout: "head-only",
      edits: [
        ("slices: 2", "slices: 1"), ("sequences: 2", "sequences: 1"),
        ("// layersPerBlock: [2, 2],", "layersPerBlock: [0],"),
      ], depth: 1, layers: [[]]),
    Row(
      layout: "s3t",
      edits: [
        ("// layersPerBlock: [2, 2],", "layersPerBlock: [1, 2],"),
        (
          "// sequenceSelection: { method: \"matching\", sliceProbabilities: [0.01, 0.02] },",
          "sequenceSelection: { method: \"matching\", sliceProbabilities: [0.3, 0.01] },"
        ), ("headStart: \"zero\"", "headStart: \"closed-form\""),
        ("// stageRateFactor: 1", "stageRateFactor: 0.5"),
      ], depth: 2, layers: [[3], [1, 2]]),
  ]

  @Test("train, answer and forget like any run", arguments: rows)
  func layouts(row: Row) throws {
    let run = try Self.trained(row.edits)
    #expect(try run.status().layout == row.layout)
    let answer = try Self.predict(run, "--explain")
    for shard in answer.predictions[0].shards {
      #expect(shard.depth == row.depth)
      #expect(shard.blocks?.map(\.layers) == row.layers)
    }
    if row.layout == "s3t" {
      #expect(try run.shard(0).sequences[0].order == [1, 0], "the safer slice first")
    }
    let before = try run.shard(0)
    let gone = try run.delete(["r7"], wait: "repaired")
    #expect(gone[0].outcome == .accepted)
    let after = try run.shard(0)
    #expect(after.sequences.allSatisfy { $0.depth == row.depth })
    #expect(before.sequences.count == after.sequences.count)
    #expect(try Lethe.run(["verify", "--full", "--run", run.runFile]).status == 0)
  }

  @Test("each rule makes one answer of the shards', and says which")
  func rules() throws {
    let run = try Self.trained([("aggregation: \"mean-logits\"", "aggregation: \"vote\"")])
    let votes = try Self.predict(run)
    #expect(votes.aggregation == "vote")
    // Two shards: their votes and the probabilities that settle ties add up to three.
    #expect(abs(votes.predictions[0].logits.reduce(0, +) - 3) < 1e-9)
    let mean = try Self.predict(run, "--aggregation", "mean-probability")
    #expect(abs(mean.predictions[0].logits.reduce(0) { $0 + exp($1) } - 1) < 1e-9)
    #expect(votes.predictions[0].shards[0].blocks == nil)

    // Two shards of two sequences each; of the one that a deletion reached what is left.
    let every = try Self.predict(
      run, "--serving", "every-sequence", "--aggregation", "depth-weighted")
    #expect(every.predictions[0].shards.map(\.shard) == [0, 0, 1, 1])
    #expect(every.predictions[0].shards.map(\.sequence) == [0, 1, 0, 1])
    let report: EvaluationReport = try Lethe.json([
      "evaluate", "--run", run.runFile, "--trials", "2", "--data",
      run.folder.appendingPathComponent("records.jsonl").path,
    ])
    #expect(report.rules.contains { $0.serving == .everySequence })
    let refused = try Lethe.run(["predict", "--run", run.runFile, "--serving", "x", "--text", "x"])
    #expect(refused.status == 64)
  }

  @Test("a single label is a number: met, masked and repaired like classes")
  func regression() throws {
    let lines = TestRun.records.enumerated().map { index, record in
      #"{"id":"\#(record.id)","text":"\#(record.text)","label":\#(Double(index % 3) - 0.5)}"# + "\n"
    }.joined()
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let wrong = folder.appendingPathComponent("wrong.jsonl")
    try Data(#"{"id":"1","text":"x","label":"many"}"#.utf8).write(to: wrong)
    let refused = try Lethe.run([
      "init", "--data", wrong.path, "--backbone", Lethe.backbone, "--labels", "stars", "--output",
      folder.appendingPathComponent("run.json5").path,
    ])
    #expect(refused.status == 65 && refused.errors.contains("not a number"))

    let run = try TestRun(records: lines, epochs: 2, labels: "stars")
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    let item = try Self.predict(run).predictions[0]
    #expect(item.logits.count == 1 && Double(item.label) == item.logits[0])
    #expect((-2...3).contains(item.logits[0]))
    let data = run.folder.appendingPathComponent("records.jsonl").path
    let report: EvaluationReport = try Lethe.json([
      "evaluate", "--run", run.runFile, "--data", data, "--trials", "2",
    ])
    let deviation = try #require(report.ensembles[0].served.deviation)
    #expect(deviation.meanSquaredError > 0 && deviation.determination < 1)
    #expect(report.ensembles[0].served.quality == nil)
    let vote = try Lethe.run([
      "predict", "--run", run.runFile, "--text", "x", "--aggregation", "vote",
    ])
    #expect(vote.status != 0 && vote.errors.contains("averaged"))
    _ = try run.delete(["r7"], wait: "repaired")
    #expect(try Lethe.run(["verify", "--full", "--run", run.runFile]).status == 0)
  }
}
