import SystemIO
import WireFormat

extension TCPConnection {
  /// Reads one frame; `nil` at the end of the stream.
  ///
  /// The announced length is checked against `limit` before memory is spent on it.
  package func readFrame(limit: Int) throws -> Frame? {
    guard let prefix = try read(byteCount: Frame.lengthByteCount) else { return nil }
    let byteCount = try Frame.byteCount(announcedBy: prefix, limit: limit)
    guard let rest = try read(byteCount: byteCount) else { return nil }
    return try Frame(rest: rest)
  }
}
