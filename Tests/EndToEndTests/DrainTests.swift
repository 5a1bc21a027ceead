import CoordinatorAPI
import Foundation
import TestKit
import Testing

@Suite("Stopping workers, with real processes", .serialized) struct DrainTests {
  @Test("a worker that is stopped hands its stage over, and costs neither bits nor a checkpoint")
  func drain() throws {
    let run = try TestRun(epochs: 800)
    try run.startCoordinator()
    _ = try Lethe.run(["train", "--run", run.runFile])
    let folder = run.folder.appendingPathComponent("data/checkpoints").path
    func checkpoints() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder)
    }
    // Stopped where a stage is seen in the middle. It may still end before the worker hears of it;
    // then the next one is tried.
    repeat {
      let worker = try run.startWorker(options: ["--checkpoint-seconds", "0.2"])
      try worker.hold("a stage in the middle", seen: try run.status()) {
        try !checkpoints().isEmpty || run.status().blocksTrained == 8
      }
      worker.terminate()
      kill(worker.processIdentifier, SIGCONT)
      try worker.ended("the end of a worker that was asked to end")
      #expect(worker.terminationStatus == 0 && worker.terminationReason == .exit)
    } while try checkpoints().isEmpty && run.status().blocksTrained < 8
    #expect(try checkpoints().count == 1, "no stage was caught in the middle")
    let second = try run.startWorker()
    try run.train()
    #expect(try run.artifacts() == (try TestRun.freshArtifacts(epochs: 800)))
    second.terminate()
    try second.ended("the end of an idle worker")
    #expect(second.terminationStatus == 0, "an idle worker ends as well")
  }

  @Test("a worker that stands still keeps no prediction to itself: another one is asked")
  func standstill() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let first = try run.startWorker()
    try run.startWorker()
    try run.train()
    try waitUntil("two workers", seen: try run.status()) { try run.status().workers.count == 2 }
    Foundation.kill(first.processIdentifier, SIGSTOP)
    defer { Foundation.kill(first.processIdentifier, SIGCONT) }
    // Workers take turns, so that one of the first two questions goes to the one that stands still.
    for _ in 0..<4 {
      let answer = try Lethe.run(["predict", "--text", "a bird", "--run", run.runFile])
      #expect(answer.status == 0, "\(answer.errors)")
    }
  }

  @Test("a worker whose key others may read, or that is none, does not start; it says what to do")
  func badKey() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let key = run.folder.appendingPathComponent("data/local.key").path
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
    let output = try run.refusedWorker(["--run", run.runFile])
    #expect(output.status == 78 && output.errors.contains("chmod 600"))
    try Data("{".utf8).write(to: URL(fileURLWithPath: key))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
    let broken = try run.refusedWorker(["--run", run.runFile])
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
    let endpoint = run.folder.appendingPathComponent("data/endpoint.json").path
    try waitUntil("a coordinator", seen: run.log) {
      FileManager.default.fileExists(atPath: endpoint)
    }
    try waitUntil("a worker", seen: run.log) { try !run.status().workers.isEmpty }
    // Having started itself again, it has the name that people look for.
    let name = try String(
      contentsOfFile: "/proc/\(process.processIdentifier)/comm", encoding: .utf8)
    #expect(name == "lethe\n")
    process.terminate()
    try process.ended("the end at SIGTERM")
  }
}
