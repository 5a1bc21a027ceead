import CoordinatorAPI
import CoordinatorCore
import Foundation
import TestKit
import Testing
import WireFormat

@Suite("Metrics of a living coordinator", .serialized) struct MetricsTests {
  @Test("why a block waits is a label by its word alone, whatever a worker says of it")
  func labels() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let client = try WireClient(run, try run.localKey(), name: "host-of-r3")
    #expect(client.hear().isWelcome)
    _ = try Lethe.run(["train", "--run", run.runFile])
    let grant = try #require(try client.lease())
    try client.say(
      .failed(
        epoch: grant.epoch, Failure(kind: .fatal, reason: "cannot read record r3: a small bird")))
    try waitUntil("a failure that is noted", seen: try run.status()) {
      try run.status().waiting.keys.contains { $0.contains("a small bird") }
    }
    let text = try run.metrics()
    #expect(text.contains(#"lethe_blocks_waiting{reason="needs_another_host"} 1"#))
    #expect(!text.contains("bird") && !text.contains("r3"), "\(text)")
  }
}

extension TestRun {
  /// What Prometheus would read.
  func metrics() throws -> String { try call("GET", "/metrics").text }
}
