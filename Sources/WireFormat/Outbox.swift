import ByteCoding
import Hashing

/// Messages on their way out, cut into frames one at a time.
///
/// First come, first sent, but a heartbeat and its answer pass between the chunks of whatever waits
/// before them: a lease must not run out because an artifact is large.
struct Outbox: Sendable {
  private struct Waiting {
    let type: FrameType
    let request: UInt64
    let body: [UInt8]
    let content: [UInt8]
    /// Bytes of the content that have been sent; `nil` before the control frame.
    var sentByteCount: Int?
  }

  private var urgent: [Waiting] = []
  private var waiting: [Waiting] = []
  private var lastRequest = UInt64(1) << 63

  /// Bytes that wait to be sent.
  private(set) var byteCount = 0

  /// Whether the message fits the wire, and so will be sent.
  mutating func enqueue(_ message: WireMessage, request: UInt64) -> Bool {
    let (type, head, content) = message.parts
    var entry = Waiting(type: type, request: request, body: head, content: content)
    if let shape = type.content {
      guard content.count <= shape.byteCountLimit else {
        guard let refusal = message.refusalForSize else { return false }
        return enqueue(refusal, request: request)
      }
      var writer = CanonicalWriter()
      writer.writeRaw(head)
      writer.write(UInt64(content.count))
      writer.writeRaw(SHA256.hash(content).bytes)
      entry = Waiting(
        type: type, request: freshRequest(request), body: writer.bytes, content: content)
    }
    let length = WireLimits.headerByteCount + entry.body.count + WireLimits.tagByteCount
    guard length <= type.lengthLimit else { return false }
    byteCount += entry.body.count + entry.content.count
    if type == .heartbeat || type == .heard { urgent.append(entry) } else { waiting.append(entry) }
    return true
  }

  /// The next frame, sealed; `nil` when nothing waits.
  mutating func next(_ sealer: inout FrameSealer) -> (type: FrameType, bytes: [UInt8])? {
    if !urgent.isEmpty {
      let entry = urgent.removeFirst()
      byteCount -= entry.body.count
      return (entry.type, sealer.seal(entry.type, request: entry.request, body: entry.body[...]))
    }
    guard !waiting.isEmpty else { return nil }
    let (type, request) = (waiting[0].type, waiting[0].request)
    let total = waiting[0].content.count
    guard let sent = waiting[0].sentByteCount else {
      byteCount -= waiting[0].body.count
      let bytes = sealer.seal(type, request: request, body: waiting[0].body[...])
      waiting[0].sentByteCount = 0
      if total == 0 { waiting.removeFirst() }
      return (type, bytes)
    }
    let end = min(sent + WireLimits.chunkByteCount, total)
    byteCount -= end - sent
    let bytes = sealer.seal(.chunk, request: request, body: waiting[0].content[sent..<end])
    waiting[0].sentByteCount = end
    if end == total { waiting.removeFirst() }
    return (.chunk, bytes)
  }

  /// Chunks are paired by number: one that the caller left out is taken where callers take none.
  private mutating func freshRequest(_ request: UInt64) -> UInt64 {
    guard request == 0 else { return request }
    lastRequest &+= 1
    return lastRequest
  }
}

extension WireMessage {
  /// What to answer in its place when it is too large for the wire.
  fileprivate var refusalForSize: WireMessage? {
    switch self {
    case .slice, .artifact: .unavailable("it is too large for one message")
    case .predictions: .predictionFailed("the answer is too large for one message")
    default: nil
    }
  }
}
