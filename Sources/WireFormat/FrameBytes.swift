import Hashing

/// The bytes of frames: `u32 length · u8 type · u64 sequence · u64 request · body · [tag]`.
enum FrameBytes {
  /// A frame of the handshake, or a refusal before it has succeeded.
  static func unsealed(_ type: FrameType, body: [UInt8]) -> [UInt8] {
    begin(type, sequence: 0, request: 0, body: body[...], tagByteCount: 0)
  }

  /// A refusal for a peer that is not known; the reason is cut to fit what such a peer may be sent.
  static func unsealed(_ refusal: TurnedAway) -> [UInt8] {
    // Cause and the text's length take five bytes of the body.
    let room = WireLimits.handshakeByteCount - WireLimits.headerByteCount - 5
    let clipped = TurnedAway(refusal.cause, refusal.reason.clipped(toByteCount: room))
    return unsealed(.turnedAway, body: WireMessage.turnedAway(clipped).parts.head)
  }

  fileprivate static func begin(
    _ type: FrameType, sequence: UInt64, request: UInt64, body: ArraySlice<UInt8>,
    tagByteCount: Int
  ) -> [UInt8] {
    let length = WireLimits.headerByteCount + body.count + tagByteCount
    precondition(length <= type.lengthLimit, "a \(type) frame of \(length) bytes")
    var bytes: [UInt8] = []
    bytes.reserveCapacity(WireLimits.prefixByteCount + length)
    withUnsafeBytes(of: UInt32(length).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(type.rawValue)
    withUnsafeBytes(of: sequence.littleEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: request.littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: body)
    return bytes
  }
}

/// One direction's key and count, at the end that sends.
struct FrameSealer: Sendable {
  // Has taken in the key and nothing else; copies save its two blocks.
  private let keyed: HMAC.Authenticator
  private var sequence: UInt64 = 0

  init(key: [UInt8]) {
    keyed = HMAC.Authenticator(key: key)
  }

  mutating func seal(_ type: FrameType, request: UInt64, body: ArraySlice<UInt8>) -> [UInt8] {
    sequence += 1
    var bytes = FrameBytes.begin(
      type, sequence: sequence, request: request, body: body,
      tagByteCount: WireLimits.tagByteCount)
    var authenticator = keyed
    authenticator.update(bytes)
    authenticator.finalize().withUnsafeBytes { bytes.append(contentsOf: $0) }
    return bytes
  }
}

/// One direction's key and count, at the end that receives.
struct FrameOpener: Sendable {
  private let keyed: HMAC.Authenticator
  private var sequence: UInt64 = 0

  init(key: [UInt8]) {
    keyed = HMAC.Authenticator(key: key)
  }

  /// The body of a frame that bears the right tag and comes next; anything else ends it all.
  mutating func open(_ frame: ReceivedFrame) throws(TurnedAway) -> ArraySlice<UInt8> {
    var authenticator = keyed
    authenticator.update(frame.bytes.dropLast(WireLimits.tagByteCount))
    let tag = Array(frame.bytes.suffix(WireLimits.tagByteCount))
    guard HMAC.areEqual(authenticator.finalize().bytes, tag) else {
      throw TurnedAway(.protocolError, "a frame's tag is wrong")
    }
    let (expected, isOver) = sequence.addingReportingOverflow(1)
    guard !isOver, frame.sequence == expected else {
      throw TurnedAway(
        .protocolError, "frame \(frame.sequence) came after frame \(sequence)")
    }
    sequence = expected
    return frame.body
  }
}

/// A whole frame in the bytes that have arrived; nothing about it is believed yet.
struct ReceivedFrame {
  let type: FrameType
  let sequence: UInt64
  let request: UInt64
  /// Length and tag included.
  let bytes: ArraySlice<UInt8>
  let body: ArraySlice<UInt8>

  /// The frame at `position`, or `nil` while it is not complete.
  ///
  /// Holds the length against what the type may have as soon as both have arrived, long before the
  /// frame has.
  init?(in input: [UInt8], at position: Int, isSealed: Bool) throws(TurnedAway) {
    let arrived = input[position...]
    guard arrived.count >= WireLimits.prefixByteCount else { return nil }
    let length = Int(UInt32(truncatingIfNeeded: Self.integer(arrived.prefix(4))))
    let tagByteCount = isSealed ? WireLimits.tagByteCount : 0
    let limit =
      isSealed
      ? max(WireLimits.chunkFrameByteCount, WireLimits.welcomeByteCount)
      : WireLimits.handshakeByteCount
    guard (WireLimits.headerByteCount + tagByteCount...limit).contains(length) else {
      throw TurnedAway(.protocolError, "a frame announces \(length) bytes")
    }
    guard arrived.count > WireLimits.prefixByteCount else { return nil }
    let typeByte = input[position + WireLimits.prefixByteCount]
    guard let type = FrameType(rawValue: typeByte) else {
      throw TurnedAway(.protocolError, "there is no message type \(typeByte)")
    }
    guard length <= type.lengthLimit else {
      throw TurnedAway(.protocolError, "a \(type) frame announces \(length) bytes")
    }
    guard arrived.count >= WireLimits.prefixByteCount + length else { return nil }
    self.type = type
    bytes = arrived.prefix(WireLimits.prefixByteCount + length)
    sequence = Self.integer(bytes.dropFirst(5).prefix(8))
    request = Self.integer(bytes.dropFirst(13).prefix(8))
    body =
      bytes.dropFirst(WireLimits.prefixByteCount + WireLimits.headerByteCount)
      .dropLast(tagByteCount)
  }

  /// The body of a handshake's frame.
  func unsealedBody() throws(TurnedAway) -> ArraySlice<UInt8> {
    guard sequence == 0, request == 0 else {
      throw TurnedAway(.protocolError, "a frame before authentication is numbered")
    }
    return body
  }

  private static func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// Bytes that have arrived and are not a whole frame yet.
///
/// Each byte is moved once on its way in, and once more if the frame was not complete.
struct ArrivedBytes: Sendable {
  private var pending: [UInt8] = []

  var count: Int { pending.count }

  /// Everything not yet used, with `bytes` behind it; `keep` takes back what was not a frame.
  mutating func take(adding bytes: [UInt8]) -> [UInt8] {
    if pending.isEmpty { return bytes }
    var all: [UInt8] = []
    swap(&all, &pending)
    all.append(contentsOf: bytes)
    return all
  }

  mutating func keep(_ input: [UInt8], from position: Int) {
    pending = position == 0 ? input : Array(input[position...])
  }
}
