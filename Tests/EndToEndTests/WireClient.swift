import CoordinatorCore
import Foundation
import Hashing
import ServiceSupport
import SystemIO
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

  static let numericClass = "test"
  static let backbone = Result { try BackboneFiles(Lethe.backbone).digest }

  /// - Parameter name: Also its host's; neither counts for anything but display.
  init(
    _ run: TestRun, _ key: PeerKey, name: String = "client",
    roles: Set<WorkerRole> = [.train, .serve], numericClass: String = WireClient.numericClass,
    head: AttestedHead? = nil
  ) throws {
    connection = try run.connect()
    connection.setTimeout(seconds: 20)
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

  private func hearWithRequest() -> (message: WireMessage, request: UInt64)? {
    while arrived.isEmpty {
      guard !hasEnded, let bytes = try? connection.readSome(limit: 1 << 16), !bytes.isEmpty else {
        hasEnded = true
        return nil
      }
      for action in end.receive(bytes) {
        switch action {
        case .write(let bytes): try? connection.write(bytes)
        case .message(let message, let request): arrived.append((message, request))
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
  func upload(_ grant: LeaseGrant) throws {
    try say(
      .upload(
        epoch: grant.epoch, grant.assignment.key,
        TrainingWork(steps: 1, examples: 1, seconds: 1, gemmSeconds: 1, finalLoss: 0),
        artifact: Self.artifact(of: grant.assignment.key)), request: grant.epoch)
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

  /// Bytes that pass for a trained block, different for every key.
  static func artifact(of key: BlockKey) -> [UInt8] {
    // Padded so that the numbers stand where numbers may.
    let header = Array(#"{"t":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}} "#.utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    var values = key.digest.bytes
    // A sign and an exponent of a number near 1.
    for index in stride(from: 3, to: values.count, by: 4) { values[index] = 0x3f }
    return length + header + values
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
