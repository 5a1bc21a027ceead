import CoordinatorAPI
import Foundation
import TestKit
import Testing

@Suite("Memory, with real processes", .serialized) struct MemoryTests {
  /// Records that can be found wherever their bytes are: no part of them is anyone else's.
  private struct Canary {
    // Lower case, so that what the tokenizer makes of a word is found as well.
    let id = "canary-\(UUID().uuidString.lowercased())"
    let words = (0..<2).map { _ in "canary\(UUID().uuidString.lowercased())" }
    let label: String

    var line: String {
      #"{"id":"\#(id)","text":"a \#(words[0]) tree \#(words[1])","label":"\#(label)"}"# + "\n"
    }
  }

  @Test(
    "a purged record is in no process's memory, even if it is being trained on",
    .disabled(
      if: Pace.sanitizer != nil,
      "SKIPPED: a sanitizer keeps freed memory for a while, and its shadow is terabytes to search"))
  func purged() throws {
    let canaries = (0..<200).map { Canary(label: ["a", "b", "c"][$0 % 3]) }
    let gone = canaries.prefix(150)
    let run = try TestRun(records: canaries.map(\.line).joined(), epochs: 400)
    let needles = run.folder.appendingPathComponent("needles")
    try Data(gone.flatMap { [$0.id] + $0.words }.joined(separator: "\n").utf8).write(to: needles)
    try run.startCoordinator()
    let worker = try run.startWorker()
    // Training goes on until the run is stopped: the deletion finds a step under way.
    let started = try Lethe.run(["train", "--run", run.runFile])
    try #require(started.status == 0, "\(started.errors)")
    try waitUntil("a record in a worker's memory", seen: try run.status()) {
      try scan(worker, needles).status == 1
    }
    let items = try run.delete(gone.map(\.id), wait: "purged")
    // Nothing was trained yet, so nothing may have been left to repair.
    #expect(items.count == 150)
    #expect(items.allSatisfy { ["purged", "repaired", "certified"].contains($0.state) })
    for process in [run.coordinator, worker] {
      let left = try scan(try #require(process), needles)
      #expect(left.status == 0, "\(left.text)\(left.errors)")
    }
  }

  @Test("a coordinator and a worker leave no memory in core files and crash reports")
  func reports() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let worker = try run.startWorker()
    try run.train()
    for process in [run.coordinator, worker] {
      let folder = "/proc/\(try #require(process).processIdentifier)"
      let limits = try String(contentsOfFile: "\(folder)/limits", encoding: .utf8)
      let core = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
      #expect(core?.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"])
      let environment = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/environ"))
      let text = String(decoding: environment, as: UTF8.self)
      #expect(text.contains("registers=none") && text.contains("glibc.malloc.perturb=165"))
    }
  }

  private func scan(_ process: Process, _ needles: URL) throws -> (
    status: Int32, text: String, errors: String
  ) {
    let scanner = Process()
    let (output, errors) = (Pipe(), Pipe())
    scanner.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    scanner.arguments = [
      "python3", Lethe.root.appendingPathComponent("ops/scan-memory.py").path,
      "\(process.processIdentifier)", needles.path,
    ]
    scanner.standardOutput = output
    scanner.standardError = errors
    try scanner.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(
      decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    scanner.waitUntilExit()
    return (scanner.terminationStatus, text, complaint)
  }
}
