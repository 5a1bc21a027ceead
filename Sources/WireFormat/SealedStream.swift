import CoordinatorCore

/// What both ends of a connection are made of: bytes that have arrived, contents under way,
/// messages in line, and the keys of both directions once they are agreed.
struct SealedStream: Sendable {
  var arrived = ArrivedBytes()
  var contents: IncomingContents
  var outbox = Outbox()
  var opener: FrameOpener?
  var sealer: FrameSealer?

  init(limits: ContentLimits = ContentLimits()) {
    contents = IncomingContents(limits: limits)
  }

  /// Bytes that have arrived and wait for the rest of their frame or content.
  var bufferedByteCount: Int { arrived.count + contents.byteCount }

  /// The body of a frame, its seal broken if there are keys already.
  mutating func open(_ frame: ReceivedFrame) throws(TurnedAway) -> ArraySlice<UInt8> {
    let sealed = try opener?.open(frame)
    return if let sealed { sealed } else { try frame.unsealedBody() }
  }

  /// The next sealed frame of what waits; the order of writing must be the order of these calls.
  mutating func nextFrame() -> (type: FrameType, bytes: [UInt8])? {
    guard var sealer, let next = outbox.next(&sealer) else { return nil }
    self.sealer = sealer
    return next
  }

  /// Records may be among what waits and what has arrived, so nothing of it stays.
  mutating func drop() {
    arrived = ArrivedBytes()
    contents = IncomingContents(limits: ContentLimits())
    outbox = Outbox()
  }
}

/// An end of a connection that puts messages in line and seals them frame by frame.
package protocol SealingEnd {
  /// Puts a message in line for `nextFrame`; `false` if it will not be sent.
  mutating func enqueue(_ message: WireMessage, request: UInt64) -> Bool

  /// The next sealed frame of what waits.
  mutating func nextFrame() -> [UInt8]?
}

extension SealingEnd {
  /// Seals a message, with whatever waits before it; the bytes to write, in order.
  ///
  /// A message with content needs a request number; 0 is replaced by a fresh one. Empty while keys
  /// are not agreed, after the end, and for a message too large for the wire.
  package mutating func send(_ message: WireMessage, request: UInt64) -> [[UInt8]] {
    guard enqueue(message, request: request) else { return [] }
    var frames: [[UInt8]] = []
    while let frame = nextFrame() { frames.append(frame) }
    return frames
  }
}
