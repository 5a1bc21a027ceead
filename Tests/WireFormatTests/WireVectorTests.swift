import CoordinatorCore
import Foundation
import Hashing
import Testing
import WireFormat

/// The bytes of `Protocols/vectors/wire.txt`, which a separate implementation made.
@Suite("Wire: vectors") struct WireVectorTests {
  struct Entry {
    let name: String
    let type: UInt8
    let request: UInt64
    var bytes: [UInt8] = []
  }

  var values: [String: [UInt8]] = [:]
  var entries: [Entry] = []
  var large: Digest?

  init() throws {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(
      contentsOf: root.appending(path: "Protocols/vectors/wire.txt"), encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      if line.hasPrefix("  ") {
        let row: [UInt8] = try #require(Array(hex: words[0]))
        entries[entries.count - 1].bytes += row
      } else if words[0] == "frame" {
        entries.append(
          Entry(
            name: String(words[1]), type: try #require(UInt8(words[2])),
            request: try #require(UInt64(words[3]))))
      } else if words[0] == "large" {
        large = Digest(hex: words[3])
      } else {
        let value: [UInt8] = try #require(Array(hex: words[1]))
        values[String(words[0])] = value
      }
    }
  }

  private func bytes(_ name: String) throws -> [UInt8] {
    try #require(entries.first { $0.name == name }).bytes
  }

  /// Hello apart, in the order of the file.
  private func messages(_ belongs: (FrameType) -> Bool) throws -> [(Entry, WireMessage)] {
    try entries.compactMap { entry in
      let type = try #require(FrameType(rawValue: entry.type))
      guard belongs(type), type != .hello, entry.name == "\(type)" else { return nil }
      return (entry, try #require(Samples.messages.first { $0.type == type }))
    }
  }

  @Test("hold every type once")
  func complete() {
    let named = entries.filter { entry in
      FrameType(rawValue: entry.type).map { "\($0)" } == entry.name
    }
    #expect(Set(named.map(\.type)) == Set(FrameType.allCases.map(\.rawValue)).subtracting([127]))
    #expect(named.count == FrameType.allCases.count - 1)
  }

  @Test("are what both ends write")
  func writes() throws {
    var conversation = Conversation()
    let opening = conversation.toCoordinator
    #expect(try opening == bytes("opening"))
    conversation.deliverToCoordinator()
    let challenge = conversation.toWorker
    #expect(try challenge == bytes("challenge"))
    conversation.deliverToWorker()
    #expect(try conversation.toCoordinator == bytes("proof") + bytes("hello"))
    conversation.deliverToCoordinator()
    let keys = Handshake.sessionKeys(
      secret: Conversation.key.secret, transcript: try opening + challenge + bytes("proof"))
    #expect(keys.workerToCoordinator == values["worker-to-coordinator-key"])
    #expect(keys.coordinatorToWorker == values["coordinator-to-worker-key"])

    for (entry, message) in try messages(\.isFromWorker) {
      let frames = conversation.worker.send(message, request: entry.request)
      #expect(Array(frames.joined()) == entry.bytes, "\(entry.name)")
    }
    for (entry, message) in try messages(\.isFromCoordinator) where message.type != .turnedAway {
      let frames = conversation.coordinator.send(message, request: entry.request)
      #expect(Array(frames.joined()) == entry.bytes, "\(entry.name)")
    }
    let pattern = Samples.pattern(1 << 20 + 5)
    let frames = conversation.coordinator.send(.artifact(pattern), request: 21)
    #expect(frames.count == 3)
    #expect(SHA256.hash(frames.joined()) == large)
    let refusal = TurnedAway(.full, "why")
    let end = conversation.coordinator.send(.turnedAway(refusal), request: 0)
    #expect(try Array(end.joined()) == bytes("turnedAway"))
    #expect(try CoordinatorEnd.refusal(refusal) == bytes("turnedAway-unsealed"))
  }

  @Test("are what both ends read", arguments: [1, 33, Int.max])
  func reads(pieceByteCount: Int) throws {
    var conversation = Conversation()
    conversation.pieceByteCount = pieceByteCount
    conversation.toCoordinator = try ["opening", "proof", "hello"].flatMap { try bytes($0) }
    let fromWorker = try messages(\.isFromWorker)
    for (entry, _) in fromWorker { conversation.toCoordinator += entry.bytes }
    conversation.toCoordinator += try bytes("two-chunks")
    conversation.deliverToCoordinator()
    #expect(conversation.introduced == [Samples.introduction])
    let delivered = conversation.atCoordinator
    #expect(delivered.dropLast().map(\.message) == fromWorker.map(\.1))
    #expect(delivered.dropLast().map(\.request) == fromWorker.map(\.0.request))
    guard case .upload(6, _, _, artifact: [10, 11, 12, 13, 14])? = delivered.last?.message else {
      Issue.record("the upload in two chunks came as \(String(describing: delivered.last))")
      return
    }

    conversation.toWorker = try bytes("challenge")
    let fromCoordinator = try messages(\.isFromCoordinator).filter { $0.1.type != .turnedAway }
    for (entry, _) in fromCoordinator { conversation.toWorker += entry.bytes }
    conversation.deliverToWorker()
    #expect(conversation.atWorker.map(\.message) == fromCoordinator.map(\.1))
    #expect(conversation.atWorker.map(\.request) == fromCoordinator.map(\.0.request))
    #expect(conversation.workerClosed.isEmpty && conversation.coordinatorClosed.isEmpty)
  }
}
