import CoordinatorAPI
import CoordinatorCore
import Foundation
import HTTP
import Hashing
import ModelFormats
import Storage
import SystemIO
import Testing
import Unlearning
import WireFormat

/// A key admits a peer; it does not make it believed. Each test plays a peer that holds a valid key
/// against a real coordinator, and looks whether honest ones are served all the same.
@Suite("The gate, with real processes", .serialized) struct GateTests {
  private func started(_ run: TestRun) throws {
    try run.startCoordinator()
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
  }

  private func client(_ run: TestRun, _ name: String) throws -> WireClient {
    let (key, _) = try run.makeKey(name, role: .worker)
    let client = try WireClient(run, key, name: name)
    try #require(client.hear().isWelcome)
    return client
  }

  /// Has an honest worker train what is left.
  private func complete(_ run: TestRun) throws {
    let honest = try WireClient(run, try run.localKey(), name: "honest")
    #expect(honest.hear().isWelcome)
    var count = try run.status().blocksTrained
    while count < 8 {
      let grant = try #require(try honest.lease(), "\(run.log)")
      #expect(try honest.complete(grant) == .uploadAccepted(epoch: grant.epoch))
      count += 1
    }
    #expect(try run.status().blocksTrained == 8)
    honest.close()
  }

  /// What the coordinator says of an upload, with the reason that comes before it.
  private func answer(_ client: WireClient) -> (reason: String?, verdict: WireMessage?) {
    var reason: String?
    while let message = client.hear() {
      switch message {
      case .unavailable(let text): reason = text
      case .uploadAccepted, .uploadRefused: return (reason, message)
      default: continue
      }
    }
    return (reason, nil)
  }

  /// All that anybody asks a coordinator for whether it lives.
  private func checkLife(_ run: TestRun) throws {
    let token = try String(
      contentsOf: run.folder.appendingPathComponent("data/token"), encoding: .utf8
    ).trimmingCharacters(in: .whitespacesAndNewlines)
    let address = try #require(NetworkAddress(try run.endpoint("http")))
    for path in ["/v1/status", "/readyz", "/metrics", "/v1/blocks", "/v1/shards/0"] {
      let answer = try HTTPClient.send(
        "GET", path, headers: ["Authorization": "Bearer \(token)"], to: address,
        timeoutSeconds: 60)
      #expect(answer.status == 200, "\(path)")
    }
    #expect(run.coordinator?.isRunning == true, "\(run.log.suffix(2000))")
  }

  private struct Lie {
    var because: String
    /// Words of the reason.
    var says: String
    var change: (inout [UInt8], inout TrainingWork, BlockForm, Range<Int>) -> Void
  }

  /// The block with some of its tensors changed.
  private static func tensors(
    _ bytes: inout [UInt8], _ form: BlockForm, _ layers: Range<Int>,
    _ change: (inout [NamedTensor]) -> Void
  ) {
    var tensors = form.tensors(layers: layers).map {
      NamedTensor(
        name: $0.name, shape: $0.shape, values: Array(repeating: 0.5, count: $0.valueCount))
    }
    change(&tensors)
    bytes = SafetensorsWriter.encode(tensors)
  }

  @Test("an upload that is not exactly the leased block is refused, and why; nobody is hurt")
  func artifacts() throws {
    let run = try TestRun()
    try started(run)
    let lies = [
      Lie(because: "nothing", says: "cannot be read") { bytes, _, _, _ in bytes = [] },
      Lie(because: "noise", says: "cannot be read") { bytes, _, _, _ in
        bytes = Array(repeating: 7, count: 500)
      },
      Lie(because: "shapes swapped", says: "has shape") { bytes, _, form, layers in
        Self.tensors(&bytes, form, layers) { tensors in
          for index in tensors.indices { tensors[index].shape.reverse() }
        }
      },
      Lie(because: "a tensor missing", says: "is missing") { bytes, _, form, layers in
        Self.tensors(&bytes, form, layers) { $0.removeLast() }
      },
      Lie(because: "another layer's", says: "is missing") { bytes, _, form, layers in
        let other = layers.lowerBound == 0 ? 2..<4 : 0..<2
        bytes = form.madeUp(layers: other, seed: [1])
      },
      Lie(because: "a number that is none", says: "NaN") { bytes, _, form, layers in
        Self.tensors(&bytes, form, layers) { $0[0].values[3] = .nan }
      },
      Lie(because: "the header in other words", says: "form that blocks have") { bytes, _, _, _ in
        let length = Int(bytes[0]) + Int(bytes[1]) * 256
        let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
          .replacingOccurrences(
            of: #""dtype":"F32","shape":[3],"#, with: #""shape":[3],"dtype":"F32","#)
        bytes.replaceSubrange(8..<8 + length, with: Array(header.utf8))
      },
      Lie(because: "one tensor of 64 MiB", says: "no block of this run") { bytes, _, _, _ in
        let count = 16 << 20
        var header = Array(
          #"{"t":{"dtype":"F32","shape":[\#(count)],"data_offsets":[0,\#(4 * count)]}}"#.utf8)
        while header.count % 8 != 0 { header.append(32) }
        bytes =
          withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
          + [UInt8](repeating: 0x3f, count: 4 * count)
      },
    ]
    for (number, lie) in lies.enumerated() {
      let liar = try client(run, "liar-\(number)")
      let grant = try #require(try liar.lease())
      let form = try liar.form()
      try liar.upload(grant) { lie.change(&$0, &$1, form, grant.assignment.layers) }
      let (reason, verdict) = answer(liar)
      #expect(verdict == .uploadRefused(epoch: grant.epoch, .invalidArtifact), "\(lie.because)")
      #expect(reason?.contains(lie.says) == true, "\(lie.because): \(reason ?? "no reason")")
      liar.close()
    }
    let status = try run.status()
    #expect(status.blocksTrained == 0 && status.refused?["artifact"] == lies.count)
    #expect(status.alarms.contains { $0.contains("liar-0") && $0.contains("refused") })
    let memory = try String(
      contentsOfFile: "/proc/\(try #require(run.coordinator).processIdentifier)/status",
      encoding: .utf8)
    let peak = memory.split(separator: "\n").first { $0.hasPrefix("VmHWM") }
      .flatMap { Int($0.filter(\.isNumber)) }
    #expect(try #require(peak) < 200_000, "the 64 MiB were kept")
    try checkLife(run)
    // Those that failed twice on one block wait for another host; the operator's word clears it.
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    try complete(run)
    #expect(try Lethe.run(["verify", "--run", run.runFile]).status == 0)
    try run.startWorker(role: "serve")
    #expect(try predict(run).count == 1)
  }

  @Test("a key is turned out at the third refusal, told so, shown, and cannot come back")
  func turnedOut() throws {
    let run = try TestRun()
    try started(run)
    let (key, _) = try run.makeKey("liar", role: .worker)
    for turn in 1...3 {
      // Under another name each time: the key is who it is.
      let liar = try WireClient(run, key, name: "name-\(turn)")
      try #require(liar.hear().isWelcome)
      let grant = try #require(try liar.lease())
      try liar.upload(grant) { bytes, _ in bytes = [1, 2, 3] }
      #expect(answer(liar).verdict == .uploadRefused(epoch: grant.epoch, .invalidArtifact))
      if turn < 3 { liar.close() }
      guard turn == 3 else { continue }
      guard case .turnedAway(let refusal)? = liar.hear() else {
        Issue.record("it was not told")
        continue
      }
      #expect(refusal.cause == .revoked && refusal.reason.contains("liar"))
      #expect(liar.hear() == nil)
    }
    guard case .turnedAway(let refusal)? = try WireClient(run, key).hear() else {
      Issue.record("it came back")
      return
    }
    #expect(refusal.cause == .revoked)
    let status = try run.status()
    #expect(status.keysTurnedOut == ["liar"])
    #expect(status.alarms.contains { $0.contains("liar is turned out") })
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    try complete(run)
  }

  @Test("figures other than the plan's are refused, and no figure stops what reports them")
  func figures() throws {
    let run = try TestRun()
    try started(run)
    let lies: [(because: String, change: (inout TrainingWork) -> Void)] = [
      ("examples at the limit", { $0.examples = .max }),
      ("steps at the limit", { $0.steps = .max }),
      ("an example more", { $0.examples += 1 }),
      ("no steps", { $0.steps = 0 }),
      ("endless seconds", { $0.seconds = .infinity }),
      ("negative seconds", { $0.seconds = -1 }),
      ("seconds that are no number", { $0.seconds = .nan }),
      ("endless seconds in products", { $0.gemmSeconds = .infinity }),
      ("a loss that is not a number", { $0.finalLoss = .nan }),
      ("an endless loss", { $0.finalLoss = -.infinity }),
      ("slices at the limit", { ($0.slicesKept, $0.slicesComputed) = (.max, .max) }),
    ]
    for (number, lie) in lies.enumerated() {
      let liar = try client(run, "liar-\(number)")
      let grant = try #require(try liar.lease())
      try liar.say(.heartbeat(epoch: grant.epoch, StageProgress(step: .max, totalSteps: .max)))
      let shown = try #require(try run.status().workers.first { $0.training != nil })
      #expect(try #require(shown.step) <= 40 && shown.step == shown.totalSteps)
      try liar.upload(grant) { _, work in lie.change(&work) }
      let (reason, verdict) = answer(liar)
      #expect(verdict == .uploadRefused(epoch: grant.epoch, .invalidArtifact), "\(lie.because)")
      #expect(reason?.contains("claims") == true, "\(lie.because): \(reason ?? "no reason")")
      liar.close()
      if number % 3 == 2 { _ = try Lethe.run(["train", "--run", run.runFile]) }
    }
    #expect(try run.status().refused?["figures"] == lies.count)
    try checkLife(run)
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    try complete(run)
    try checkLife(run)
  }

  private struct Answers: Decodable {
    struct Item: Decodable { var logits: [Double] }
    var predictions: [Item]
  }

  private func predict(_ run: TestRun) throws -> [[Double]] {
    let answers: Answers = try Lethe.json([
      "predict", "--text", "a small green bird", "--run", run.runFile,
    ])
    return answers.predictions.map(\.logits)
  }

  @Test("an answer that is none reaches no client; another worker is asked, and the key goes")
  func answers() throws {
    let run = try TestRun()
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    let right = try predict(run)
    let lies: [(because: String, rows: [[Double]])] = [
      ("a number too many", [[1, 2, 3, 4]]), ("a number too few", [[1, 2]]),
      ("no number", [[]]), ("NaN", [[1, .nan, 3]]), ("infinity", [[1, .infinity, 3]]),
      ("a text too many", [[1, 2, 3], [1, 2, 3]]), ("no text", []),
      ("one number", [[1]]), ("a thousand numbers", [Array(repeating: 1, count: 1000)]),
    ]
    for (number, lie) in lies.enumerated() {
      let (key, _) = try run.makeKey("liar-\(number)", role: .serve)
      let liar = try WireClient(run, key, name: "liar-\(number)", roles: [.serve])
      #expect(liar.hear().isWelcome)
      let ended = Promise<Bool>()
      nonisolated(unsafe) let speaker = liar
      BackgroundThread.start("liar") {
        while let (message, request) = speaker.hearWithRequest() {
          if case .predict = message {
            try? speaker.say(
              .predictions(lie.rows.map { ShardedPrediction(logits: $0) }), request: request)
          }
        }
        ended.fulfil(true)
      }
      // They take turns: in a few questions it is asked three times, and is out.
      for _ in 0..<12 where !liar.hasEnded { #expect(try predict(run) == right, "\(lie.because)") }
      #expect(ended.wait(seconds: 60) == true, "\(lie.because): it may go on")
    }
    let status = try run.status()
    #expect(status.refused?["answer"] == 3 * lies.count)
    #expect(status.keysTurnedOut == lies.indices.map { "liar-\($0)" })
    try checkLife(run)
  }

  @Test("a checkpoint that no stage of the run can have is not kept")
  func checkpoints() throws {
    let run = try TestRun()
    try started(run)
    let liar = try client(run, "liar")
    let grant = try #require(try liar.lease())
    let key = grant.assignment.key
    try liar.say(
      .checkpoint(epoch: grant.epoch, key, step: .max, state: Array("x".utf8)), request: 9)
    try liar.say(
      .checkpoint(
        epoch: grant.epoch, key, step: 1, state: [UInt8](repeating: 1, count: 32 << 20)),
      request: 10)
    guard case .unavailable = try liar.ask(.fetchCheckpoint(key)) else {
      Issue.record("it was kept")
      return
    }
    try liar.say(
      .checkpoint(epoch: grant.epoch, key, step: 1, state: Array("y".utf8)), request: 11)
    guard case .artifact(Array("y".utf8)) = try liar.ask(.fetchCheckpoint(key)) else {
      Issue.record("an honest one is not kept any more")
      return
    }
    #expect(try run.status().refused?["checkpoint"] == 2)
    #expect(try liar.complete(grant) == .uploadAccepted(epoch: grant.epoch))
  }

  @Test("without the backbone's shape no block is taken, deletions go on, and it is said")
  func shapeless() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(at: URL(fileURLWithPath: Lethe.backbone), to: folder)
    let run = try TestRun(backbone: folder.path)
    try started(run)
    run.killCoordinator()
    let (file, away) = (
      folder.appendingPathComponent("config.json"), folder.appendingPathComponent("away")
    )
    try FileManager.default.moveItem(at: file, to: away)
    try run.startCoordinator()
    let worker = try client(run, "worker")
    let grant = try #require(try worker.lease())
    #expect(try worker.complete(grant) == .uploadRefused(epoch: grant.epoch, .busy))
    worker.close()
    let status = try run.status()
    #expect(status.refused?["artifact"] == 0 && status.blocksTrained == 0)
    #expect(status.alarms.contains { $0.contains("config.json") && $0.contains("backbone") })
    #expect(try run.delete(["r7"], wait: "purged")[0].outcome == .accepted)
    run.killCoordinator()
    try FileManager.default.moveItem(at: away, to: file)
    try run.startCoordinator()
    try complete(run)
    #expect(try run.status().alarms.isEmpty)
  }

  @Test("a run that an earlier version let damage opens, says so, and comes to be whole")
  func damaged() throws {
    let run = try TestRun()
    try started(run)
    let client = try client(run, "client")
    let grant = try #require(try client.lease())
    let form = try client.form()
    let (key, slot) = (grant.assignment.key, grant.assignment.slot)
    run.killCoordinator()
    // What an earlier version took: a block of other layers, with figures that no training has.
    let data = run.folder.appendingPathComponent("data").path
    let store = try ArtifactStore("\(data)/artifacts")
    let digest = try store.put(form.madeUp(layers: 0..<1, seed: [1]))
    do {
      let journal = try Journal.open(("\(data)/journal-a", "\(data)/journal-b")).journal
      let entry = JournalEntry.committed(
        CommittedBlock(
          key: key, slot: slot, artifact: digest, byteCount: .max, worker: "liar",
          work: TrainingWork(
            steps: .max, examples: .max, seconds: .infinity, gemmSeconds: .nan,
            finalLoss: .nan, slicesKept: .max, slicesComputed: .max), at: 1))
      let pinned = JournalEntry.numericClassPinned(WireClient.numericClass)
      try journal.append([pinned.encoded, entry.encoded], epoch: 1)
    }
    try run.startCoordinator()
    try checkLife(run)
    let status = try run.status()
    let place = "\(slot.shard)/\(slot.sequence)/\(slot.stage)"
    #expect(status.blocksTrained == 0)
    #expect(status.alarms.contains { $0.contains("quarantined") && $0.contains(place) })
    #expect(run.log.contains("artifact_unfit"))
    try complete(run)
    #expect(try Lethe.run(["verify", "--run", run.runFile]).status == 0)
    // Nothing is said again once all is well.
    run.killCoordinator()
    try run.startCoordinator()
    #expect(try run.status().alarms.isEmpty)
  }
}
