import CoordinatorAPI
import Foundation
import TestKit
import Testing

@Suite("A terminal that goes away, with real processes", .serialized) struct HangUpTests {
  /// Runs `lethe up` and says which processes it has started, itself among them.
  private func up(_ run: TestRun, under runner: [String]? = nil) throws -> (Process, [Int32]) {
    let process = try Lethe.start(
      ["up", "--workers", "1", "--run", run.runFile], under: runner,
      log: run.folder.appendingPathComponent("log"))
    try waitUntil("a worker", quiet: 12, seen: run.log) {
      let output = try Lethe.run(["status", "--run", run.runFile, "--format", "json"])
      let status = try? JSONDecoder().decode(RunStatus.self, from: Data(output.text.utf8))
      return status?.workers.count == 1
    }
    let children = try Lethe.children(of: process.processIdentifier)
    #expect(children.count == 2)
    return (process, children)
  }

  private func isRunning(_ number: Int32) -> Bool {
    // One that ended and whom nobody has asked for yet is not running.
    let state = try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8)
    return state.map { !$0.contains(") Z ") } ?? false
  }

  @Test("ends lethe up with everything that it has started")
  func ends() throws {
    let run = try TestRun()
    let (process, children) = try up(run)
    defer { for number in children { kill(number, SIGKILL) } }
    kill(process.processIdentifier, SIGHUP)
    try waitUntil("an end of all", quiet: 12, seen: run.log) {
      !process.isRunning && !children.contains(where: isRunning)
    }
    #expect(process.terminationStatus == 0 && process.terminationReason == .exit)
  }
}

extension Lethe {
  /// Processes that a process has started and that are still its own.
  static func children(of parent: Int32) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap(Int32.init).filter {
      guard let text = try? String(contentsOfFile: "/proc/\($0)/stat", encoding: .utf8),
        let end = text.range(of: ") ", options: .backwards)
      else { return false }
      return text[end.upperBound...].split(separator: " ").dropFirst().first == "\(parent)"
    }.sorted()
  }
}
