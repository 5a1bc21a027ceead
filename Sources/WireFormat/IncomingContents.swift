import ByteCoding
import Hashing

/// Puts messages together from their frames, and holds the contents that are under way.
struct IncomingContents: Sendable {
  private struct Unfinished {
    let type: FrameType
    let request: UInt64
    let head: [UInt8]
    let byteCount: Int
    let digest: Digest
    /// Grows with what arrives; an announcement alone costs nothing.
    var bytes: [UInt8] = []
    var hasher = SHA256()
    /// Larger than this end has a use for: it is let pass, and nothing of it is kept.
    let isDropped: Bool
    var arrivedByteCount = 0
  }

  /// What a frame completes.
  enum Arrival {
    case message(WireMessage)
    /// A message whose content has only been announced, and is larger than this end has a use for;
    /// it stands here without content.
    case tooLarge(WireMessage, byteCount: Int)
  }

  private let limits: ContentLimits

  private var unfinished: [Unfinished] = []
  /// Bytes of contents that have arrived and wait for the rest.
  private(set) var byteCount = 0

  init(limits: ContentLimits) {
    self.limits = limits
  }

  /// What a frame completes; `nil` if more has to come.
  mutating func take(_ type: FrameType, request: UInt64, body: ArraySlice<UInt8>)
    throws(TurnedAway) -> Arrival?
  {
    if type == .chunk {
      return try takeChunk(body, request: request).map { .message($0) }
    }
    guard let shape = type.content else {
      return .message(try decode(type, head: body, content: []))
    }
    guard body.count == shape.headByteCount + WireLimits.announcementByteCount else {
      throw TurnedAway(.protocolError, "a \(type) message of \(body.count) bytes")
    }
    let announcement = body.suffix(WireLimits.announcementByteCount)
    guard let announced = Self.announced(announcement), announced.byteCount <= shape.byteCountLimit
    else { throw TurnedAway(.protocolError, "a \(type) message announces too large a content") }
    guard request != 0, !unfinished.contains(where: { $0.request == request }) else {
      throw TurnedAway(.protocolError, "a content's request number \(request) is not free")
    }
    guard unfinished.count < WireLimits.unfinishedContentCount else {
      throw TurnedAway(.protocolError, "too many contents are under way")
    }
    let content = Unfinished(
      type: type, request: request, head: Array(body.prefix(shape.headByteCount)),
      byteCount: announced.byteCount, digest: announced.digest,
      isDropped: announced.byteCount > limits.byteCount(of: type))
    if content.byteCount == 0 { return .message(try finish(content)) }
    unfinished.append(content)
    guard content.isDropped else { return nil }
    return .tooLarge(
      try decode(type, head: content.head[...], content: []), byteCount: content.byteCount)
  }

  private mutating func takeChunk(_ body: ArraySlice<UInt8>, request: UInt64)
    throws(TurnedAway) -> WireMessage?
  {
    guard let index = unfinished.firstIndex(where: { $0.request == request }) else {
      throw TurnedAway(.protocolError, "a chunk belongs to no content")
    }
    let rest = unfinished[index].byteCount - unfinished[index].arrivedByteCount
    guard !body.isEmpty, body.count <= rest else {
      throw TurnedAway(.protocolError, "a chunk of \(body.count) bytes where \(rest) are missing")
    }
    unfinished[index].arrivedByteCount += body.count
    if unfinished[index].isDropped {
      if body.count == rest { unfinished.remove(at: index) }
      return nil
    }
    unfinished[index].bytes.append(contentsOf: body)
    unfinished[index].hasher.update(body)
    byteCount += body.count
    guard body.count == rest else { return nil }
    let content = unfinished.remove(at: index)
    byteCount -= content.byteCount
    return try finish(content)
  }

  private func finish(_ content: consuming Unfinished) throws(TurnedAway) -> WireMessage {
    guard content.hasher.finalize() == content.digest else {
      throw TurnedAway(.protocolError, "a content does not have the announced digest")
    }
    return try decode(content.type, head: content.head[...], content: content.bytes)
  }

  private func decode(_ type: FrameType, head: ArraySlice<UInt8>, content: [UInt8])
    throws(TurnedAway) -> WireMessage
  {
    do {
      return try WireMessage(type, head: head, content: content)
    } catch {
      throw TurnedAway(.protocolError, "a \(type) message is not well formed: \(error)")
    }
  }

  private static func announced(_ bytes: ArraySlice<UInt8>) -> (byteCount: Int, digest: Digest)? {
    var reader = CanonicalReader(bytes)
    guard let count = try? reader.readInteger(UInt64.self), let byteCount = Int(exactly: count),
      let rest = try? reader.readRaw(byteCount: Digest.byteCount), let digest = Digest(rest)
    else { return nil }
    return (byteCount, digest)
  }
}
