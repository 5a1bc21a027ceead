import CoordinatorAPI
import Evaluation
import Foundation
import Testing

@Suite("Evaluation", .serialized) struct EvaluateTests {
  static let gone: Set = ["r3", "r7", "r20", "r41", "r58"]

  static func trained(_ records: String) throws -> TestRun {
    let run = try TestRun(records: records)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return run
  }

  static func write(_ text: String, _ name: String, _ run: TestRun) throws -> String {
    let file = run.folder.appendingPathComponent(name)
    try Data(text.utf8).write(to: file)
    return file.path
  }

  static func evaluate(_ run: TestRun, _ options: [String]) throws -> EvaluationReport {
    try Lethe.json(["evaluate", "--run", run.runFile, "--trials", "5"] + options)
  }

  @Test("says what predict says, and that deleted records show like those never seen")
  func membership() throws {
    let run = try Self.trained(TestRun.jsonLines())
    let fresh = try Self.trained(TestRun.jsonLines(without: Self.gone))
    let texts = (0..<12).map {
      #"{"id":"t\#($0)","text":"old \#(TestRun.records[5 * $0].text)","#
        + #""label":"\#(["a", "b", "c"][$0 % 3])"}"#
        + "\n"
    }.joined()
    let data = try Self.write(texts, "texts.jsonl", run)
    let members = try Self.write(
      TestRun.jsonLines(without: Set(TestRun.records.map(\.id)).subtracting(Self.gone)),
      "members.jsonl", run)
    let options = ["--data", data, "--members", members, "--compare", fresh.runFile]

    let before = try Self.evaluate(run, options)
    #expect(before.membership?.compared?.isIdentical == false)
    #expect(before.texts == 12 && before.membership?.members == Self.gone.count)
    #expect(before.ensembles.map(\.layout) == ["s3t", "sisa"])
    let answers: PredictionResponse = try Lethe.json([
      "predict", "--run", run.runFile, "--file", data,
    ])
    let right = answers.predictions.enumerated().count { $1.label == ["a", "b", "c"][$0 % 3] }
    #expect(before.ensembles[0].served.quality?.accuracy == Double(right) / 12)
    let shallow: PredictionResponse = try Lethe.json([
      "predict", "--run", run.runFile, "--file", data, "--maximum-depth", "1",
    ])
    let shallowRight = shallow.predictions.enumerated().count {
      $1.label == ["a", "b", "c"][$0 % 3]
    }
    #expect(before.ensembles[0].byDepth[0].quality?.accuracy == Double(shallowRight) / 12)

    _ = try run.delete(Self.gone.sorted(), wait: "repaired")
    let after = try Self.evaluate(run, options)
    let membership = try #require(after.membership)
    let compared = try #require(membership.compared)
    #expect(compared.isIdentical)
    #expect(compared.byLoss == membership.byLoss)
    #expect(compared.byConfidence == membership.byConfidence)
    #expect(after.records == TestRun.records.count - Self.gone.count)

    let text = try Lethe.run(
      ["evaluate", "--run", run.runFile, "--trials", "5"] + options)
    #expect(text.status == 0 && text.text.contains("the same, bit for bit"), "\(text.errors)")
  }

  @Test("refuses what it cannot evaluate, and says what to do")
  func refusals() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let none = try Lethe.run(["evaluate", "--run", run.runFile])
    #expect(none.status == 65 && none.errors.contains("--data"))
    let data = try Self.write(TestRun.jsonLines(), "texts.jsonl", run)
    let silent = try Lethe.run(["evaluate", "--run", run.runFile, "--data", data])
    #expect(silent.status == 69 && silent.errors.contains("wait for training"))
    let strange = try Self.write(#"{"id":"1","text":"x","label":"d"}"#, "strange.jsonl", run)
    let refused = try Lethe.run(["evaluate", "--run", run.runFile, "--data", strange])
    #expect(refused.status == 65, "\(refused.errors)")
  }

  @Test("a poisoned batch goes by label, person or file, and its effect is measured")
  func poison() throws {
    // Every third record is also in the batch of a person who calls everything "c".
    let poison = TestRun.records.enumerated().filter { $0.offset % 3 == 0 }.map { index, record in
      #"{"id":"p\#(index)","text":"\#(record.text)","label":"c","subject":"mallory"}"# + "\n"
    }
    let honest = #"{"id":"h","text":"green stone","label":"b","subject":"mallory"}"# + "\n"
    let run = try Self.trained(TestRun.jsonLines() + honest + poison.joined())
    let clean = try Self.write(TestRun.jsonLines(), "clean.jsonl", run)
    func delete(_ options: String...) throws -> DeletionResponse {
      try Lethe.json(
        ["delete", "--run", run.runFile, "--timeout", TestRun.timeout] + options)
    }

    let dry: DeletionPlanReport = try Lethe.json(
      ["delete", "--run", run.runFile, "--dry-run", "--where", "label=c"], status: 2)
    #expect(dry.ids.count == 40)
    let both = try delete(
      "--where", "label=c", "--where", "subject=mallory", "--measure", clean, "--wait", "repaired")
    #expect(both.requests.map(\.id) == (0..<20).map { "p\(3 * $0)" }.sorted())
    let measured = try #require(both.measured)
    #expect(measured.map(\.state) == ["before", "repaired"])
    #expect(measured.map(\.texts) == [60, 60])
    let (before, after) = (try #require(measured[0].loss), try #require(measured[1].loss))
    #expect(after < before, "answers to the clean texts are better without the batch")
    let report = try Self.evaluate(run, ["--data", clean])
    #expect(report.ensembles[0].served.quality?.loss == after)

    let batch = try Self.write(honest, "batch.jsonl", run)
    #expect(try delete("--where", batch).requests.map(\.outcome) == [.accepted])
    let none = try Lethe.run(["delete", "--run", run.runFile, "--where", "label=nobody"])
    #expect(none.status == 65 && none.errors.contains("no live record has this label"))
    let twice = try Lethe.run([
      "delete", "--run", run.runFile, "--subject", "x", "--where", "subject=y",
    ])
    #expect(twice.status == 64)
  }
}
