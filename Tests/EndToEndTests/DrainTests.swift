import CoordinatorAPI
import Foundation
import Testing

@Suite("Stopping workers, with real processes", .serialized) struct DrainTests {
  @Test("a worker that is stopped hands its stage over, and costs neither bits nor a checkpoint")
  func drain() throws {
    let run = try TestRun(epochs: 400)
    try run.startCoordinator()
    let first = try run.startWorker()
    _ = try Lethe.run(["train", "--run", run.runFile])
    let deadline = Date(timeIntervalSinceNow: 60)
    while Date() < deadline, try run.status().blocksTraining == 0 {}
    // Long enough for some steps, and short for the stage.
    usleep(300_000)
    let asked = Date()
    first.terminate()
    first.waitUntilExit()
    #expect(first.terminationStatus == 0 && first.terminationReason == .exit)
    #expect(Date().timeIntervalSince(asked) < 10)
    let checkpoints = run.folder.appendingPathComponent("data/checkpoints").path
    let names = try FileManager.default.contentsOfDirectory(atPath: checkpoints)
    #expect(names.count == 1, "the stage was over before the worker was asked")
    let second = try run.startWorker()
    try run.train()
    #expect(try run.artifacts() == (try TestRun.freshArtifacts(epochs: 400)))
    second.terminate()
    second.waitUntilExit()
    #expect(second.terminationStatus == 0, "an idle worker ends as well")
  }

  @Test("a worker whose key others may read does not start, and says what to do")
  func readableKey() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let key = run.folder.appendingPathComponent("data/local.key").path
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
    let output = try Lethe.run(["worker", "--run", run.runFile])
    #expect(output.status == 78 && output.errors.contains("chmod 600"))
  }
}
