import ByteCoding

/// One unit of a connection without authentication, which the services use until they run the two
/// ends: `u32 length · u8 type · u64 request · body`, little-endian.
///
/// `length` counts everything after itself. `request` pairs an answer with its question and is 0
/// where there is none.
package struct Frame: Equatable, Sendable {
  package var type: UInt8
  package var request: UInt64
  package var body: [UInt8]

  package init(type: UInt8, request: UInt64, body: [UInt8]) {
    self.type = type
    self.request = request
    self.body = body
  }

  package static let lengthByteCount = 4
  /// Type and request.
  package static let fixedByteCount = 9
  /// Artifacts and slices travel in one frame each.
  package static let maximumByteCount = 64 << 20
  /// What a peer may send before it is known.
  package static let maximumHelloByteCount = 8 << 10

  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    writer.write(UInt32(Self.fixedByteCount + body.count))
    writer.write(type)
    writer.write(request)
    writer.writeRaw(body)
    return writer.bytes
  }

  /// The byte count that a frame's first four bytes announce, if it is allowed.
  package static func byteCount(announcedBy prefix: [UInt8], limit: Int) throws(DecodingFailure)
    -> Int
  {
    var reader = CanonicalReader(prefix)
    let count = Int(try reader.readInteger(UInt32.self))
    guard (fixedByteCount...limit).contains(count) else {
      throw .invalid(what: "frame length \(count)", atByte: 0)
    }
    return count
  }

  /// Reads the bytes after the length.
  package init(rest bytes: [UInt8]) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    type = try reader.readInteger()
    request = try reader.readInteger()
    body = Array(try reader.readRaw(byteCount: reader.remainingByteCount))
  }
}

extension WireMessage {
  /// The message as a frame without authentication: head and content in one body.
  package func frame(request: UInt64 = 0) -> Frame {
    let (type, head, content) = parts
    return Frame(type: type.rawValue, request: request, body: head + content)
  }

  package init(_ frame: Frame) throws(DecodingFailure) {
    guard let type = FrameType(rawValue: frame.type) else {
      throw .invalid(what: "message type \(frame.type)", atByte: 0)
    }
    let headByteCount = type.content?.headByteCount ?? frame.body.count
    try self.init(
      type, head: frame.body.prefix(headByteCount),
      content: Array(frame.body.dropFirst(headByteCount)))
  }
}
