import CoordinatorCore
import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import TestKit
import Testing
import Unlearning
import WireFormat

/// A worker's connection without a worker: it says what a test wants said.
final class WireClient {
  private let connection: TCPConnection
  private var end: WorkerEnd
  private var arrived: [(message: WireMessage, request: UInt64)] = []
  private var lastRequest: UInt64 = 0
  /// The coordinator has ended the connection.
  private(set) var hasEnded = false

  /// What it trains by; comes with the welcome.
  private var recipe: TrainingRecipe?
  /// How many records slices hold that it has fetched.
  private var recordCounts: [SliceReference: Int] = [:]

  static let numericClass = "test"
  static let files = Result { try BackboneFiles(Lethe.backbone) }
  static let backbone = Result { try files.get().digest }

  /// - Parameter name: Also its host's; neither counts for anything but display.
  init(
    _ run: TestRun, _ key: PeerKey, name: String = "client",
    roles: Set<WorkerRole> = [.train, .serve], numericClass: String = WireClient.numericClass,
    head: AttestedHead? = nil
  ) throws {
    connection = try run.connect()
    connection.setTimeout(seconds: Int(Pace.patience(quiet: 2)))
    end = WorkerEnd(
      key: key,
      introduction: Introduction(
        name: name, host: name, numericClass: numericClass, backbone: try Self.backbone.get(),
        roles: roles, head: head),
      nonce: SystemRandom.bytes(count: Handshake.nonceByteCount))
    try connection.write(end.begin())
  }

  func say(_ message: WireMessage, request: UInt64 = 0) throws {
    for bytes in end.send(message, request: request) { try connection.write(bytes) }
  }

  /// The next message; `nil` once the coordinator has ended the connection.
  func hear() -> WireMessage? { hearWithRequest()?.message }

  func hearWithRequest() -> (message: WireMessage, request: UInt64)? {
    while arrived.isEmpty {
      guard !hasEnded, let bytes = try? connection.readSome(limit: 1 << 16), !bytes.isEmpty else {
        hasEnded = true
        return nil
      }
      for action in end.receive(bytes) {
        switch action {
        case .write(let bytes): try? connection.write(bytes)
        case .message(let message, let request):
          if case .welcome(let recipe, _) = message { self.recipe = recipe }
          arrived.append((message, request))
        case .close: hasEnded = true
        }
      }
    }
    return arrived.removeFirst()
  }

  /// Asks and waits for the answer with the same number; what comes before it is dropped.
  func ask(_ message: WireMessage) throws -> WireMessage? {
    lastRequest += 1
    try say(message, request: lastRequest)
    while let (answer, request) = hearWithRequest() {
      if request == lastRequest { return answer }
    }
    return nil
  }

  /// Asks and waits for the answer; what comes before it stays to be heard.
  private func askAside(_ message: WireMessage) throws -> WireMessage? {
    lastRequest += 1
    let asked = lastRequest
    try say(message, request: asked)
    var before: [(message: WireMessage, request: UInt64)] = []
    defer { arrived = before + arrived }
    while let next = hearWithRequest() {
      if next.request == asked { return next.message }
      before.append(next)
    }
    return nil
  }

  /// Waits for a lease, passing over everything else.
  func lease() throws -> LeaseGrant? {
    try say(.requestWork)
    while let message = hear() {
      if case .lease(let grant) = message { return grant }
    }
    return nil
  }

  /// Hands in made-up bytes for a leased block; what the coordinator says of them.
  func complete(_ grant: LeaseGrant) throws -> WireMessage? {
    try upload(grant)
    return verdict()
  }

  /// Hands in made-up bytes for a leased block and does not wait.
  ///
  /// - Parameter change: Makes something else of what is right.
  func upload(
    _ grant: LeaseGrant, change: (inout [UInt8], inout TrainingWork) throws -> Void = { _, _ in }
  ) throws {
    var block = try madeUp(grant.assignment)
    try change(&block.artifact, &block.work)
    try upload(grant, block)
  }

  func upload(_ grant: LeaseGrant, _ block: (artifact: [UInt8], work: TrainingWork)) throws {
    try say(
      .upload(epoch: grant.epoch, grant.assignment.key, block.work, artifact: block.artifact),
      request: grant.epoch)
  }

  /// Bytes and figures that pass for those of a trained block, different for every key.
  func madeUp(_ assignment: BlockAssignment) throws -> (artifact: [UInt8], work: TrainingWork) {
    let recipe = try #require(recipe)
    let form = try form()
    let recordCount = try assignment.slices.reduce(0) { try $0 + self.recordCount($1) }
    let artifact =
      recordCount > 0
      ? form.madeUp(layers: assignment.layers, seed: assignment.key.digest.bytes)
      : form.handedOn(parent: try assignment.ancestors.last.flatMap(fetch))
    return (
      artifact,
      TrainingWork(
        steps: UInt64(recipe.stepCount(recordCount: recordCount)),
        examples: UInt64(recipe.exampleCount(recordCount: recordCount)), seconds: 1,
        gemmSeconds: 1, finalLoss: 0)
    )
  }

  /// What blocks of its run are like.
  func form() throws -> BlockForm {
    BlockForm(try #require(recipe), try Self.files.get().configuration)
  }

  private func recordCount(_ slice: SliceReference) throws -> Int {
    if slice.digest == LineageDigest.slice(recordDigests: []) { return 0 }
    if let known = recordCounts[slice] { return known }
    // One that has changed meanwhile: whatever is handed in comes too late.
    guard case .slice(let records)? = try askAside(.fetchSlice(slice)) else { return 1 }
    recordCounts[slice] = records.count
    return records.count
  }

  private func fetch(_ artifact: Digest) throws -> [UInt8]? {
    guard case .artifact(let bytes)? = try askAside(.fetchArtifact(artifact)) else { return nil }
    return bytes
  }

  /// What the coordinator says of an upload.
  func verdict() -> WireMessage? {
    while let message = hear() {
      switch message {
      case .uploadAccepted, .uploadRefused: return message
      default: continue
      }
    }
    return nil
  }

  func close() { connection.shutDown() }
}

extension TestRun {
  /// A connection to the port for workers on which nothing has been said.
  func connect() throws -> TCPConnection {
    try TCPConnection.connect(to: try #require(NetworkAddress(try endpoint("workers"))))
  }

  func endpoint(_ field: String) throws -> String {
    let data = try Data(contentsOf: folder.appendingPathComponent("data/endpoint.json"))
    let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    return try #require(object?[field] as? String)
  }

  /// The key that was made with the run.
  func localKey() throws -> PeerKey {
    try KeyFile.read(folder.appendingPathComponent("data/local.key").path)
  }

  /// A new key, made as an operator makes it.
  func makeKey(_ name: String, role: KeyRole) throws -> (key: PeerKey, path: String) {
    let path = folder.appendingPathComponent("\(name).key").path
    let made = try Lethe.run([
      "key", "new", "--name", name, "--role", role.rawValue, "--output", path, "--run", runFile,
    ])
    try #require(made.status == 0, "\(made.errors)")
    return (try KeyFile.read(path), path)
  }
}
