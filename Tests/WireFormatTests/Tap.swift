import CoordinatorCore
import Hashing
import Testing
import WireFormat

/// What an attacker with the session's keys could seal; also cuts streams into frames.
struct Tap {
  var key: [UInt8]
  var sequence: UInt64

  /// An unsealed frame, or one whose tag is missing yet.
  static func frame(
    type: UInt8, sequence: UInt64 = 0, request: UInt64 = 0, body: [UInt8], length: Int? = nil
  ) -> [UInt8] {
    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    return bytes(UInt32(truncatingIfNeeded: length ?? 17 + body.count))
      + [type] + bytes(sequence) + bytes(request) + body
  }

  mutating func seal(_ type: FrameType, request: UInt64 = 0, body: [UInt8] = []) -> [UInt8] {
    sequence += 1
    let bytes = Self.frame(
      type: type.rawValue, sequence: sequence, request: request, body: body,
      length: 49 + body.count)
    return bytes + HMAC.authenticate(key: key, bytes).bytes
  }

  /// The announcement of a content.
  static func announcement(_ content: [UInt8], byteCount: Int? = nil) -> [UInt8] {
    withUnsafeBytes(of: UInt64(byteCount ?? content.count).littleEndian) { Array($0) }
      + SHA256.hash(content).bytes
  }

  static func frames(_ stream: [UInt8]) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    var position = 0
    while position < stream.count {
      let length = (0..<4).reduce(0) { $0 | Int(stream[position + $1]) << (8 * $1) }
      frames.append(Array(stream[position..<position + 4 + length]))
      position += 4 + length
    }
    return frames
  }

  /// An open conversation, with the worker's key and count in the attacker's hands.
  static func open(
    key: PeerKey = Conversation.key, roles: Set<WorkerRole> = [.train, .serve],
    limits: ContentLimits = ContentLimits()
  ) throws -> (Conversation, worker: Tap, coordinator: Tap) {
    var conversation = Conversation(key: key, roles: roles, limits: limits)
    var transcript = conversation.toCoordinator
    conversation.deliverToCoordinator()
    transcript += conversation.toWorker
    conversation.deliverToWorker()
    transcript += try #require(frames(conversation.toCoordinator).first)
    conversation.run()
    conversation.say(Samples.welcome, request: 0)
    conversation.run()
    try #require(conversation.atWorker.count == 1)
    conversation.atWorker = []
    let keys = Handshake.sessionKeys(secret: key.secret, transcript: transcript)
    return (
      conversation, Tap(key: keys.workerToCoordinator, sequence: 1),
      Tap(key: keys.coordinatorToWorker, sequence: 1)
    )
  }
}
