import CoordinatorAPI
import Foundation
import TestKit
import Testing

/// The promise: every block served is the block a fresh run on the retained records produces.
@Suite("Exactness, with real processes", .serialized) struct ExactnessTests {
  @Test("the same bits with 1, 2 and 3 workers", arguments: [2, 3])
  func workerCounts(count: Int) throws {
    let reference = try TestRun.freshArtifacts()
    #expect(reference.count == 8)
    let run = try TestRun()
    try run.startCoordinator()
    for _ in 0..<count { try run.startWorker() }
    try run.train()
    #expect(try run.artifacts() == reference)
  }

  @Test("delete, repair, and be the run that never saw the records")
  func deleteAndRepair() throws {
    let run = try TestRun()
    try run.startCoordinator()
    try run.startWorker()
    try run.startWorker()
    try run.train()
    let before = try run.artifacts()
    let items = try run.delete(["r3", "r17", "r41"], wait: "repaired")
    #expect(items.map(\.outcome) == [.accepted, .accepted, .accepted])
    #expect(
      items.allSatisfy { ["repaired", "certified"].contains($0.state) && $0.blocksMasked > 0 })
    let after = try run.artifacts()
    #expect(after != before)
    #expect(after == (try TestRun.freshArtifacts(without: ["r3", "r17", "r41"])))
    let report: VerificationReport = try Lethe.json(["verify", "--run", run.runFile])
    #expect(report.blocksChecked == 8 && report.keysMatch == 8 && report.problems.isEmpty)
  }

  @Test("a worker killed in mid-stage costs time, not bits")
  func workerKilled() throws {
    let run = try TestRun(epochs: 400)
    try run.startCoordinator()
    let victim = try run.startWorker()
    _ = try Lethe.run(["train", "--run", run.runFile])
    // In the second block or later, so that there is something to continue from.
    try victim.hold("a worker in its second block", seen: try run.status()) {
      let status = try run.status()
      try #require(status.blocksTrained < 8, "it was over before it was looked at")
      return status.blocksTrained > 0 && status.workers.contains { $0.training != nil }
    }
    run.kill(victim)
    try run.startWorker()
    try run.train()
    #expect(try run.artifacts() == (try TestRun.freshArtifacts(epochs: 400)))
  }

  @Test("a coordinator killed and started again continues to the same bits")
  func coordinatorKilled() throws {
    let run = try TestRun(epochs: 200)
    try run.startCoordinator()
    try run.startWorker()
    try run.startWorker()
    _ = try Lethe.run(["train", "--run", run.runFile])
    try waitUntil("a first block", seen: try run.status()) { try run.status().blocksTrained > 0 }
    #expect(try run.delete(["r5"])[0].outcome == .accepted)
    run.killCoordinator()
    // The workers live on, find the next coordinator and go on.
    try run.startCoordinator()
    #expect(try run.delete(["r5"])[0].outcome == .duplicate, "an acknowledged deletion was lost")
    try run.train()
    #expect(try run.artifacts() == (try TestRun.freshArtifacts(without: ["r5"], epochs: 200)))
  }

  @Test("a shard may lose every record and still has exact blocks")
  func emptyShard() throws {
    let run = try TestRun()
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    var gone: Set<String> = []
    for record in TestRun.records {
      let lineage: RecordLineage = try Lethe.json([
        "lineage", "record", record.id, "--run", run.runFile,
      ])
      if lineage.shard == 0 { gone.insert(record.id) }
    }
    _ = try run.delete(gone.sorted(), wait: "repaired")
    #expect(try run.artifacts() == (try TestRun.freshArtifacts(without: gone)))
  }
}
