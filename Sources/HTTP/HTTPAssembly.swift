/// Puts one message together from bytes as they arrive, wherever they are cut.
struct HTTPAssembly {
  private(set) var head: HTTPHead?
  /// The head so far; empty once it is read.
  private var headBytes: [UInt8] = []
  private(set) var body: [UInt8] = []

  private static let separator = Array("\r\n\r\n".utf8)

  var isEmpty: Bool { head == nil && headBytes.isEmpty }

  /// How many bytes to read next, at most; 0 once the message is whole.
  var wantedByteCount: Int {
    guard let head else { return 8 << 10 }
    return min(64 << 10, head.contentLength - body.count)
  }

  /// Takes what was read next; nothing means that the peer has closed.
  mutating func take(_ chunk: some Collection<UInt8>) throws(HTTPParseError) {
    guard head == nil else {
      guard !chunk.isEmpty else { throw HTTPParseError(400, "the body ends early") }
      return try takeBody(chunk)
    }
    guard !chunk.isEmpty else {
      throw HTTPParseError(400, "the connection ended inside a head")
    }
    // The separator may have begun in what came before.
    let searchStart = max(0, headBytes.count - Self.separator.count + 1)
    headBytes += chunk
    let end = headBytes.indices.dropFirst(searchStart).first {
      headBytes[$0...].starts(with: Self.separator)
    }
    guard end ?? headBytes.count <= HTTPHead.maximumByteCount else {
      throw HTTPParseError(431, "the head is larger than \(HTTPHead.maximumByteCount) bytes")
    }
    guard let end else { return }
    head = try HTTPHead(headBytes[..<end])
    let rest = headBytes[(end + Self.separator.count)...]
    headBytes = []
    try takeBody(rest)
  }

  private mutating func takeBody(_ chunk: some Collection<UInt8>) throws(HTTPParseError) {
    guard chunk.count <= (head?.contentLength ?? 0) - body.count else {
      throw HTTPParseError(400, "bytes follow the body")
    }
    body += chunk
  }
}

extension HTTPRequest {
  /// Reads a whole request, handed over in chunks of at most this many bytes as a connection would.
  package init(
    parsing bytes: [UInt8], chunkByteCount: Int = .max
  ) throws(HTTPParseError) {
    var assembly = HTTPAssembly()
    var rest = bytes[...]
    repeat {
      let chunk = rest.prefix(min(chunkByteCount, assembly.wantedByteCount))
      rest = rest.dropFirst(chunk.count)
      try assembly.take(chunk)
    } while assembly.wantedByteCount > 0
    guard let head = assembly.head, rest.isEmpty else {
      throw HTTPParseError(400, "bytes follow the body")
    }
    try self.init(head, body: assembly.body)
  }
}
