import CoordinatorAPI
import Foundation
import Testing

@Suite("Deletion, with real processes", .serialized) struct DeletionTests {
  @Test("masks at once, keeps answering, and leaves no byte behind")
  func masksAndPurges() throws {
    let run = try TestRun(repair: #"{policy: "manual"}"#)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    let lineage: RecordLineage = try Lethe.json(["lineage", "record", "r7", "--run", run.runFile])
    #expect(lineage.state == "live" && !lineage.blocks.isEmpty)
    let item = try run.delete(["r7"], wait: "purged")[0]
    #expect(item.outcome == .accepted && item.state == "purged")
    #expect(item.blocksMasked == lineage.blocks.count)
    let shard = try run.shard(lineage.shard ?? 0)
    #expect(shard.sequences.flatMap(\.blocks).contains { $0.state == "masked" })
    let deleted: RecordLineage = try Lethe.json(["lineage", "record", "r7", "--run", run.runFile])
    #expect(deleted.state == "deleted" && deleted.blocks.isEmpty)
    let answer: PredictionResponse = try Lethe.json([
      "predict", "--text", "a small bird", "--run", run.runFile,
    ])
    #expect(answer.predictions.count == 1 && answer.predictions[0].logits.count == 3)
    // The id stands in a slice file as long as the record does, and nowhere afterwards.
    #expect(try files(in: run, containing: "\"r8\"").count == 1)
    #expect(try files(in: run, containing: "\"r7\"").isEmpty)
    // Artifacts that no block names are gone too.
    let names = try FileManager.default.subpathsOfDirectory(
      atPath: run.folder.appendingPathComponent("data/artifacts").path)
    let live = Set(try run.artifacts().values)
    #expect(names.count { $0.contains("/") } == live.count)
    #expect(try run.delete(["r7"])[0].outcome == .duplicate)
  }

  @Test("tells unknown, invalid and repeated ids apart, and changes nothing for them")
  func outcomes() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let items = try run.delete(["r1", "nobody", "r1", "bad\u{1}id"])
    #expect(items.map(\.outcome) == [.accepted, .unknown, .duplicate, .invalid])
    #expect(items.map(\.state)[1] == "rejected" && items.map(\.state)[3] == "rejected")
    #expect(try run.status().records == 59)
    let refused = try Lethe.run(["delete", "nobody", "--run", run.runFile])
    #expect(refused.status == 65)
    // A person without records is no detail beside an id that has one.
    let misspelt = try Lethe.run(["delete", "r2", "--subject", "jnae", "--run", run.runFile])
    #expect(misspelt.status == 65 && misspelt.errors.contains("nothing was deleted"))
    #expect(try run.status().records == 59)
  }

  private func files(in run: TestRun, containing text: String) throws -> [String] {
    let data = run.folder.appendingPathComponent("data")
    return try FileManager.default.subpathsOfDirectory(atPath: data.path).filter { path in
      guard let bytes = try? Data(contentsOf: data.appendingPathComponent(path)) else {
        return false
      }
      return bytes.range(of: Data(text.utf8)) != nil
    }
  }
}
