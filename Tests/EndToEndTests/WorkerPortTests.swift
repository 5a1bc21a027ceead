import CoordinatorAPI
import CoordinatorCore
import Foundation
import Hashing
import SystemIO
import TestKit
import Testing
import Unlearning
import WireFormat

/// The coordinator's port for workers, spoken to without a worker.
@Suite("The worker port, with real sockets", .serialized) struct WorkerPortTests {
  @Test("a worker is leased blocks, reads exactly their records, and completes the run")
  func completes() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let client = try WireClient(run, try run.localKey())
    #expect(client.hear().isWelcome)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    for _ in 0..<8 {
      let grant = try #require(try client.lease())
      for slice in grant.assignment.slices {
        guard case .slice(let encoded) = try client.ask(.fetchSlice(slice)) else {
          Issue.record("no slice")
          continue
        }
        let digests = try encoded.map { try Record(encoded: $0).digest }
        #expect(LineageDigest.slice(recordDigests: digests) == slice.digest)
      }
      for ancestor in grant.assignment.ancestors {
        guard case .artifact(let bytes) = try client.ask(.fetchArtifact(ancestor)) else {
          Issue.record("no artifact")
          continue
        }
        #expect(SHA256.hash(bytes) == ancestor)
      }
      #expect(try client.complete(grant) == .uploadAccepted(epoch: grant.epoch))
    }
    let status = try run.status()
    #expect(status.blocksTrained == 8 && status.alarms.isEmpty)
    let unknown = SliceReference(
      location: SliceLocation(shard: 0, slice: 0), digest: SHA256.hash([1]))
    guard case .unavailable = try client.ask(.fetchSlice(unknown)) else {
      Issue.record("a slice of another digest was handed out")
      return
    }
  }

  @Test("a checkpoint outlives its worker, and goes with the record it was made from")
  func checkpoints() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let first = try WireClient(run, try run.localKey(), name: "first")
    #expect(first.hear().isWelcome)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    let grant = try #require(try first.lease())
    let state = [UInt8]("a stage in the middle".utf8)
    let key = grant.assignment.key
    try first.say(.checkpoint(epoch: grant.epoch, key, step: 3, state: state), request: 1)
    let folder = run.folder.appendingPathComponent("data/checkpoints")
    func files() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder.path)
    }
    try waitUntil("the checkpoint's file", seen: try files()) { try files() == [key.description] }
    // A lease that is not one: nothing may be replaced.
    try first.say(
      .checkpoint(epoch: grant.epoch + 7, key, step: 9, state: Array("x".utf8)), request: 2)
    guard case .artifact(state) = try first.ask(.fetchCheckpoint(key)) else {
      Issue.record("the checkpoint is not the one that was handed in")
      return
    }
    first.close()
    run.killCoordinator()
    try run.startCoordinator()
    let second = try WireClient(run, try run.localKey(), name: "second")
    #expect(second.hear().isWelcome)
    var resumed = try #require(try second.lease())
    while resumed.assignment.key != key {
      _ = try second.complete(resumed)
      resumed = try #require(try second.lease())
    }
    #expect(resumed.checkpoint == StageCheckpoint(step: 3, digest: SHA256.hash(state)))
    guard case .artifact(state) = try second.ask(.fetchCheckpoint(key)) else {
      Issue.record("the checkpoint did not survive a restart")
      return
    }
    let slice = try #require(resumed.assignment.slices.first)
    guard case .slice(let encoded) = try second.ask(.fetchSlice(slice)) else {
      Issue.record("no slice")
      return
    }
    let gone = try Record(encoded: try #require(encoded.first)).id.text
    #expect(try run.delete([gone])[0].outcome == .accepted)
    while let message = second.hear() {
      guard case .forget(let number, _) = message else { continue }
      try second.say(.forgotten(throughDeletion: number))
      break
    }
    let items = try run.delete([gone], wait: "purged")
    #expect(items[0].outcome == .duplicate)
    #expect(try files().isEmpty)
  }

  @Test("strangers who hold places keep no worker out, and go by the handshake's deadline")
  func strangers() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let held = try (0..<40).map { _ in try run.connect() }
    // Some say half a word.
    for connection in held.prefix(20) { try? connection.write([60, 0]) }
    #expect(try WireClient(run, try run.localKey()).hear().isWelcome)
    // The deadline is five seconds; a stranger that reads no end was not let go.
    for connection in held {
      connection.setTimeout(seconds: Int(Pace.patience(quiet: 5)))
      #expect(throws: Never.self) { while try !connection.readSome(limit: 1024).isEmpty {} }
    }
  }

  @Test("more workers than the run file allows are turned away and told so")
  func full() throws {
    let run = try TestRun(coordinator: "maximumWorkers: 1")
    try run.startCoordinator()
    let first = try WireClient(run, try run.localKey())
    #expect(first.hear().isWelcome)
    guard case .turnedAway(let refusal) = try WireClient(run, try run.localKey()).hear() else {
      Issue.record("there are two")
      return
    }
    #expect(refusal.cause == .full)
    first.close()
    try waitUntil("a place for another worker", seen: try run.status()) {
      try WireClient(run, try run.localKey()).hear().isWelcome
    }
  }

  @Test("a peer that asks and never reads is not read from, and disturbs nobody")
  func backPressure() throws {
    let text = String(repeating: "word ", count: 6000)
    let lines = (0..<240).map {
      #"{"id":"r\#($0)","text":"\#(text)","label":"\#(["a", "b", "c"][$0 % 3])"}"# + "\n"
    }
    let run = try TestRun(records: lines.joined())
    try run.startCoordinator()
    let greedy = try WireClient(run, try run.localKey(), name: "greedy")
    #expect(greedy.hear().isWelcome)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    let grant = try #require(try greedy.lease())
    let slice = try #require(grant.assignment.slices.first)
    for request in 1...30 { try greedy.say(.fetchSlice(slice), request: UInt64(request)) }
    let other = try WireClient(run, try run.localKey(), name: "other")
    #expect(other.hear().isWelcome)
    for _ in 0..<4 {
      let grant = try #require(try other.lease())
      #expect(try other.complete(grant) == .uploadAccepted(epoch: grant.epoch))
    }
    let memory = try String(
      contentsOfFile: "/proc/\(try #require(run.coordinator).processIdentifier)/status",
      encoding: .utf8)
    let resident = memory.split(separator: "\n").first { $0.hasPrefix("VmRSS") }
      .flatMap { Int($0.filter(\.isNumber)) }
    #expect(try #require(resident) < 400_000, "kilobytes")
  }

  @Test("without descriptors it turns away, goes on, and recovers")
  func noDescriptors() throws {
    let run = try TestRun()
    try run.startCoordinator(descriptorLimit: 48)
    let address = try #require(NetworkAddress(try run.endpoint("http")))
    var crowd = (0..<80).compactMap { _ in try? TCPConnection.connect(to: address) }
    let workers = (0..<80).compactMap { _ in try? run.connect() }
    try waitUntil("a connection closed for want of a descriptor", seen: run.log) {
      run.log.contains("no_descriptor")
    }
    #expect(run.coordinator?.isRunning == true, "\(run.log)")
    for connection in crowd + workers { connection.shutDown() }
    crowd = []
    try waitUntil("an answer", seen: run.log) {
      try Lethe.run(["status", "--run", run.runFile]).status == 0
    }
    #expect(try WireClient(run, try run.localKey()).hear().isWelcome)
  }
}
