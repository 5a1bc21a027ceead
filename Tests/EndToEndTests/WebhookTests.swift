import CoordinatorAPI
import Foundation
import ServiceSupport
import TestKit
import Testing

/// The coordinator and a receiver that was written from `Protocols/webhooks.md` alone.
@Suite("Webhooks", .serialized) struct WebhookTests {
  struct Vector: Decodable {
    let because: String
    let secret: String
    let id: String
    let timestamp: Int64
    let body: String
    let signature: String
  }

  @Test("signs as Standard Webhooks and Protocols/vectors do")
  func vectors() throws {
    let file = Lethe.root.appendingPathComponent("Protocols/vectors/webhook.json")
    for vector in try JSONDecoder().decode([Vector].self, from: Data(contentsOf: file)) {
      let secret = try #require(WebhookSecret(vector.secret))
      #expect(
        secret.signature(id: vector.id, seconds: vector.timestamp, body: Array(vector.body.utf8))
          == vector.signature, "\(vector.because)")
    }
    for text in ["", "whsec_", "whsec_AAAA", "plJ3nmyCDGBKInavdOK15jsl", "whsec_???"] {
      #expect(WebhookSecret(text) == nil, "\(text)")
    }
  }

  static let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

  /// A run whose file names these receivers.
  private static func run(_ webhooks: String) throws -> TestRun {
    let run = try TestRun()
    let file = run.folder.appendingPathComponent("secret")
    try Data((secret + "\n").utf8).write(to: file)
    chmod(file.path, 0o600)
    let open = run.folder.appendingPathComponent("public")
    try Data(secret.utf8).write(to: open)
    chmod(open.path, 0o640)
    try run.edit("  coordinator: {", to: "  webhooks: [\(webhooks)],\n  coordinator: {")
    return run
  }

  struct Refusal: Sendable {
    let entry: String
    let says: String
  }

  static let refusals: [Refusal] = [
    Refusal(entry: #"{url: "https://127.0.0.1/x", secretFile: "secret"}"#, says: "TLS"),
    Refusal(entry: #"{url: "http://192.0.2.1/x", secretFile: "secret"}"#, says: "in clear"),
    Refusal(entry: #"{url: "http://u@127.0.0.1/x", secretFile: "secret"}"#, says: "no url"),
    Refusal(entry: #"{url: "http://127.0.0.1/a b", secretFile: "secret"}"#, says: "no url"),
    Refusal(entry: #"{url: "ftp://127.0.0.1/x", secretFile: "secret"}"#, says: "no url"),
    Refusal(
      entry: #"{url: "http://127.0.0.1/x", secretFile: "secret", events: ["deletion.lost"]}"#,
      says: "deletion.acknowledged"),
    Refusal(entry: #"{url: "http://127.0.0.1/x", secretFile: "public"}"#, says: "chmod 600"),
    Refusal(entry: #"{url: "http://127.0.0.1/x", secretFile: "run.json5"}"#, says: "not hold"),
    Refusal(entry: #"{url: "http://127.0.0.1/x", secretFile: "none"}"#, says: "no secret file"),
    Refusal(
      entry: #"{url: "http://127.0.0.1/x", secretFile: "secret", event: []}"#,
      says: #"unknown key "event" in "webhooks""#),
    Refusal(
      entry: #"{url: "http://127.0.0.1/x", secretFile: "secret"}, "#
        + #"{url: "http://127.0.0.1/x", secretFile: "secret"}"#, says: "twice"),
  ]

  @Test("an entry that could not work or would leak stops the start", arguments: refusals)
  func refuses(refusal: Refusal) throws {
    let run = try Self.run(refusal.entry)
    let output = try run.refusedCoordinator()
    #expect(output.status == 78 && output.errors.contains(refusal.says))
    #expect(output.errors.contains("try:"), "\(output.errors)")
  }

  struct Delivery: Decodable {
    let id: String
    let verified: Bool
    let status: Int
    let path: String
    let type: String
    let deletion: Int?
    let state: String?
    let body: String
  }

  /// The receiver, a process of its own.
  private final class Receiver {
    private let folder: URL
    private var process: Process?
    private(set) var port = 0

    init(_ folder: URL) { self.folder = folder }

    deinit { stop() }

    func start(failing count: Int = 0) throws {
      let portFile = folder.appendingPathComponent("port-\(UUID().uuidString)").path
      let process = Process()
      process.executableURL = ConformanceTests.python
      process.arguments = [
        "-B", Lethe.root.appendingPathComponent("Tests/Conformance/webhook_receiver.py").path,
        "--secret", WebhookTests.secret, "--log", folder.appendingPathComponent("told").path,
        "--port-file", portFile, "--port", "\(port)", "--fail", "\(count)",
      ]
      try process.run()
      self.process = process
      port = try awaited("a receiver that listens") {
        (try? String(contentsOfFile: portFile, encoding: .utf8)).flatMap(Int.init)
      }
    }

    func stop() {
      guard let process, process.isRunning else { return }
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }

    var deliveries: [Delivery] {
      let text = try? String(contentsOf: folder.appendingPathComponent("told"), encoding: .utf8)
      return (text ?? "").split(separator: "\n").compactMap {
        try? JSONDecoder().decode(Delivery.self, from: Data($0.utf8))
      }
    }

    func wait(_ what: String, until holds: ([Delivery]) -> Bool) throws {
      try waitUntil(
        what, quiet: 20,
        seen: deliveries.map { "\($0.type) \($0.deletion ?? 0) \($0.status)" }
      ) { holds(deliveries) }
    }
  }

  private static let life = [
    "deletion.acknowledged", "deletion.purged", "deletion.repaired", "deletion.certified",
  ]

  /// Types of a deletion's events in the order they were first taken.
  private func taken(_ deliveries: [Delivery], _ deletion: Int) -> [String] {
    var seen: Set<String> = []
    return deliveries.filter { $0.deletion == deletion && $0.status == 204 }
      .filter { seen.insert($0.id).inserted }.map(\.type)
  }

  @Test(
    "every event arrives, signed and in order, whoever dies meanwhile",
    .enabled(if: ConformanceTests.isPresent, "NEEDS PYTHON3: ops/install-prerequisites"))
  func delivers() throws {
    let place = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: place) }
    let receiver = Receiver(place)
    try receiver.start(failing: 3)
    let run = try Self.run(
      #"{url: "http://127.0.0.1:\#(receiver.port)/lethe?x=1", secretFile: "secret"}"#)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    try receiver.wait("training") { $0.contains { $0.type == "run.trained" && $0.status == 204 } }
    _ = try run.delete(["r1"], wait: "certified")
    try receiver.wait("the first deletion") { taken($0, 1) == Self.life }

    // The receiver is away; the coordinator must not mind, nor forget while it is killed.
    receiver.stop()
    _ = try run.delete(["r2"])
    _ = try run.delete(["r3"], wait: "certified")
    run.killCoordinator()
    try run.startCoordinator()
    try receiver.start(failing: 1)
    try receiver.wait("those while it was away") {
      taken($0, 2) == Self.life && taken($0, 3) == Self.life
    }
    try receiver.wait("the repair") { all in
      all.drop { $0.type != "deletion.acknowledged" || $0.deletion != 3 }
        .contains { $0.type == "run.trained" && $0.status == 204 }
    }

    // Told once and written down, an event is not told again: the next one to come is a new one.
    try waitUntil("a cursor that is written", seen: try run.metrics()) {
      try run.metrics().contains("\nlethe_webhook_oldest_pending_seconds 0\n")
    }
    let before = receiver.deliveries
    run.killCoordinator()
    try run.startCoordinator()
    _ = try run.delete(["r4"], wait: "certified")
    try receiver.wait("the last deletion") { taken($0, 4) == Self.life }
    let next = receiver.deliveries.dropFirst(before.count).first
    #expect(next?.type == "deletion.acknowledged" && next?.deletion == 4)

    #expect(before.allSatisfy { $0.verified && $0.path == "/lethe?x=1" })
    #expect(before.prefix(3).allSatisfy { $0.status == 500 && $0.id == before[3].id })
    for (id, attempts) in Dictionary(grouping: before, by: \.id) {
      #expect(Set(attempts.map(\.body)).count == 1, "\(id) says two things")
    }
    let events = Dictionary(grouping: before.filter { $0.deletion != nil }) {
      "\($0.type) \($0.deletion!)"
    }
    #expect(events.count == 12 && events.values.allSatisfy { Set($0.map(\.id)).count == 1 })
    let states = ["masked", "purged", "repaired", "certified"]
    for (type, state) in zip(Self.life, states) {
      #expect(before.filter { $0.type == type }.allSatisfy { $0.state == state })
    }
    for id in ["\"r1\"", "\"r2\"", "\"r3\""] {
      #expect(before.allSatisfy { !$0.body.contains(id) })
    }
    #expect(run.log.contains("webhook_failed"))
    #expect(try run.status().alarms.isEmpty, "what has been told is in the catalogue")
  }

  @Test(
    "only the events asked for are told",
    .enabled(if: ConformanceTests.isPresent, "NEEDS PYTHON3: ops/install-prerequisites"))
  func chooses() throws {
    let place = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: place) }
    let receiver = Receiver(place)
    try receiver.start()
    let run = try Self.run(
      #"{url: "http://127.0.0.1:\#(receiver.port)/", secretFile: "secret", "#
        + #"events: ["deletion.certified"]}"#)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    _ = try run.delete(["r1", "r2"], wait: "certified")
    try receiver.wait("the certificate") { !$0.isEmpty }
    // Events come in their order: what else there was to tell would have come before the second.
    _ = try run.delete(["r3"], wait: "certified")
    try receiver.wait("the second certificate") { $0.contains { $0.deletion == 2 } }
    #expect(receiver.deliveries.map(\.type) == ["deletion.certified", "deletion.certified"])
    #expect(receiver.deliveries[0].body.contains(#""records":2,"#))
  }
}
