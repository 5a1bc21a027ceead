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
  }

  private var unfinished: [Unfinished] = []
  /// Bytes of contents that have arrived and wait for the rest.
  private(set) var byteCount = 0

  /// The message that a frame completes; `nil` if more has to come.
  mutating func take(_ type: FrameType, request: UInt64, body: ArraySlice<UInt8>)
    throws(TurnedAway) -> WireMessage?
  {
    if type == .chunk { return try takeChunk(body, request: request) }
    guard let shape = type.content else {
      return try decode(type, head: body, content: [])
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
      byteCount: announced.byteCount, digest: announced.digest)
    if content.byteCount == 0 { return try finish(content) }
    unfinished.append(content)
    return nil
  }

  private mutating func takeChunk(_ body: ArraySlice<UInt8>, request: UInt64)
    throws(TurnedAway) -> WireMessage?
  {
    guard let index = unfinished.firstIndex(where: { $0.request == request }) else {
      throw TurnedAway(.protocolError, "a chunk belongs to no content")
    }
    let rest = unfinished[index].byteCount - unfinished[index].bytes.count
    guard !body.isEmpty, body.count <= rest else {
      throw TurnedAway(.protocolError, "a chunk of \(body.count) bytes where \(rest) are missing")
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
