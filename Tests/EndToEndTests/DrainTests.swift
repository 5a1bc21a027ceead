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

  @Test("a worker that stands still keeps no prediction to itself: another one is asked")
  func standstill() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let first = try run.startWorker()
    try run.startWorker()
    try run.train()
    let deadline = Date(timeIntervalSinceNow: 30)
    while Date() < deadline, try run.status().workers.count < 2 {}
    Foundation.kill(first.processIdentifier, SIGSTOP)
    defer { Foundation.kill(first.processIdentifier, SIGCONT) }
    let asked = Date()
    // Workers take turns, so that one of the first two questions goes to the one that stands still.
    for _ in 0..<4 {
      let answer = try Lethe.run(["predict", "--text", "a bird", "--run", run.runFile])
      #expect(answer.status == 0, "\(answer.errors)")
    }
    #expect(Date().timeIntervalSince(asked) < Double(Sanitizer.patience(seconds: 20)))
  }

  @Test("a worker whose key others may read, or that is none, does not start; it says what to do")
  func badKey() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let key = run.folder.appendingPathComponent("data/local.key").path
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
    let output = try Lethe.run(["worker", "--run", run.runFile])
    #expect(output.status == 78 && output.errors.contains("chmod 600"))
    try Data("{".utf8).write(to: URL(fileURLWithPath: key))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
    let broken = try Lethe.run(["worker", "--run", run.runFile])
    #expect(broken.status == 78 && broken.errors.contains("lethe key new"), "\(broken.errors)")
  }

  @Test(
    "ends at SIGTERM, also where whoever started it had blocked it", arguments: ["worker", "up"])
  func blockedSignal(verb: String) throws {
    let run = try TestRun()
    if verb == "worker" { try run.startCoordinator() }
    let process = try Lethe.start(
      [verb, "--run", run.runFile], under: ["env", "--block-signal=TERM"],
      log: run.folder.appendingPathComponent("log"))
    defer { if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) } }
    let deadline = Date(timeIntervalSinceNow: Double(Sanitizer.patience(seconds: 30)))
    let endpoint = run.folder.appendingPathComponent("data/endpoint.json").path
    while Date() < deadline, !FileManager.default.fileExists(atPath: endpoint) { usleep(20_000) }
    while Date() < deadline, try run.status().workers.isEmpty { usleep(20_000) }
    // Having started itself again, it has the name that people look for.
    let name = try String(
      contentsOfFile: "/proc/\(process.processIdentifier)/comm", encoding: .utf8)
    #expect(name == "lethe\n")
    process.terminate()
    while Date() < deadline, process.isRunning { usleep(20_000) }
    #expect(!process.isRunning)
  }
}
