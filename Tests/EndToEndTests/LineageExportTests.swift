import Foundation
import Testing

/// Events for other makers' catalogues; ops/check-lineage.py holds them to OpenLineage's client.
@Suite("OpenLineage export", .serialized) struct LineageExportTests {
  struct Event: Decodable, Equatable {
    struct Facet: Decodable, Equatable {
      let _producer: String
      let _schemaURL: String
      let datasetVersion: String?
      let key: String?
      let blockKey: String?
      let records: Int?
    }

    struct Dataset: Decodable, Equatable {
      let namespace: String
      let name: String
      let facets: [String: Facet]
    }

    struct Run: Decodable, Equatable {
      let runId: String
      let facets: [String: Facet]
    }

    struct Job: Decodable, Equatable {
      let namespace: String
      let name: String
    }

    let eventType: String
    let eventTime: String
    let producer: String
    let schemaURL: String
    let run: Run
    let job: Job
    let inputs: [Dataset]
    let outputs: [Dataset]
  }

  private func export(_ run: TestRun, _ options: [String] = []) throws -> [Event] {
    let output = try Lethe.run(["lineage", "export", "--run", run.runFile] + options)
    try #require(output.status == 0, "\(output.errors)")
    let events = try output.text.split(separator: "\n").map {
      try JSONDecoder().decode(Event.self, from: Data($0.utf8))
    }
    let (starts, ends) = (events.filter { $0.eventType == "START" }, events.filter(isEnd))
    #expect(starts.count == ends.count && starts.map(\.run.runId) == ends.map(\.run.runId))
    #expect(zip(starts, ends).allSatisfy { $0.eventTime <= $1.eventTime })
    return ends
  }

  private func isEnd(_ event: Event) -> Bool { event.eventType == "COMPLETE" }

  @Test("two events a standing block, with what it was made from and no record")
  func exports() throws {
    let run = try TestRun()
    try run.startCoordinator()
    #expect(try export(run).isEmpty)
    try run.startWorker()
    try run.train()
    let events = try export(run)
    let file = run.folder.appendingPathComponent("lineage.jsonl")
    let written = try Lethe.run(
      ["lineage", "export", "--run", run.runFile, "--output", file.path])
    #expect(written.status == 0 && written.text.isEmpty)
    let text = try String(contentsOf: file, encoding: .utf8)
    #expect(text.split(separator: "\n").count == 2 * events.count && !text.contains("\"r1\""))

    let artifacts = try run.artifacts()
    #expect(events.count == 8 && Set(events.map(\.run.runId)).count == 8)
    for event in events {
      #expect(event.eventTime.hasSuffix("Z"))
      #expect(
        event.schemaURL == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent")
      let id = event.run.runId
      #expect(id.contains(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/))
      let place = try #require(
        event.job.name.wholeMatch(of: /run\/shard-(\d)\/sequence-(\d)\/stage-(\d)/), "\(event.job)")
      let (shard, sequence, stage) = (place.1, place.2, Int(place.3)!)
      let output = event.outputs[0]
      #expect(event.outputs.count == 1 && output.name == "\(event.job.name)/block")
      #expect(
        output.facets["version"]?.datasetVersion == artifacts["\(shard)/\(sequence)/\(stage)"])
      let key = try #require(event.run.facets["letheTraining"]?.blockKey)
      #expect(output.facets["letheBlock"]?.key == key)
      // As many slices as the stage's number, and from the second stage on the block before.
      let slices = event.inputs.filter { $0.name.contains("/slice-") }
      #expect(slices.count == stage && event.inputs.count == stage + (stage > 1 ? 1 : 0))
      #expect(slices.allSatisfy { $0.facets["letheSlice"]?.records ?? 0 > 0 })
      if stage > 1 {
        let parent = event.inputs.last!
        #expect(
          parent.name == "run/shard-\(shard)/sequence-\(sequence)/stage-\(stage - 1)/block")
        #expect(
          parent.facets["version"]?.datasetVersion
            == artifacts["\(shard)/\(sequence)/\(stage - 1)"])
      }
    }
    _ = try run.delete(["r1"], wait: "certified")
    let after = try export(run, ["--namespace", "eu"])
    #expect(after.count == 8 && after.allSatisfy { $0.job.namespace == "eu" })
    let kept = Set(after.map(\.run.runId)).intersection(events.map(\.run.runId))
    #expect(kept.count == 5, "the three blocks that the deletion masked are new runs")
  }
}
