/// Puts messages of one connection together from bytes as they arrive, wherever they are cut.
///
/// One message at a time; bytes of the next wait until `next` is called.
struct HTTPAssembly {
  private(set) var head: HTTPHead?
  private(set) var body: [UInt8] = []
  private(set) var isWhole = false
  /// Arrived, and not looked at yet.
  private var pending: [UInt8] = []
  /// Bytes at the start of `pending` that are known to hold no end of a head.
  private var searchedCount = 0
  private var chunk = Chunk.size

  /// Where a chunked body is being read.
  private enum Chunk {
    case size
    case data(remaining: Int)
    /// The line break after a chunk.
    case end
    case trailer
  }

  /// Nothing of the next message has come.
  var isEmpty: Bool { head == nil && pending.isEmpty }

  /// How many bytes to read next, at most.
  var wantedByteCount: Int {
    if case .length(let length)? = head?.framing {
      return min(64 << 10, max(1, length - body.count))
    }
    return 8 << 10
  }

  /// Bytes of memory that the message takes, now or once its announced length has come.
  var claimedByteCount: Int {
    if case .length(let length)? = head?.framing { return length }
    return body.count + pending.count
  }

  /// Takes what was read next; nothing means that the peer has closed.
  mutating func take(_ bytes: some Collection<UInt8>) throws(HTTPParseError) {
    guard !bytes.isEmpty else {
      throw HTTPParseError(
        400, head == nil ? "the connection ended inside a head" : "the body ends early")
    }
    pending += bytes
    try advance()
  }

  /// Begins the next message with what has come of it.
  mutating func next() throws(HTTPParseError) {
    head = nil
    body = []
    isWhole = false
    chunk = .size
    try advance()
  }

  private mutating func advance() throws(HTTPParseError) {
    if head == nil { try readHead() }
    switch head?.framing {
    case .length(let length)?:
      let count = min(length - body.count, pending.count)
      body += pending.prefix(count)
      pending.removeFirst(count)
      isWhole = body.count == length
    case .chunked?: while try readChunk() {}
    case nil: break
    }
  }

  private mutating func readHead() throws(HTTPParseError) {
    // Empty lines may come before a request (RFC 9112, section 2.2).
    while searchedCount <= 2, pending.starts(with: [0x0d, 0x0a]) {
      pending.removeFirst(2)
      searchedCount = 0
    }
    while searchedCount < pending.count {
      let place = searchedCount
      guard place < HTTPHead.maximumByteCount else { throw .headTooLarge }
      searchedCount += 1
      guard pending[place] == UInt8(ascii: "\n") else { continue }
      guard place > 0, pending[place - 1] == UInt8(ascii: "\r") else {
        throw HTTPParseError(400, "a line ends without a carriage return")
      }
      guard place >= 3, pending[place - 2] == UInt8(ascii: "\n") else { continue }
      head = try HTTPHead(pending[..<(place - 3)])
      pending.removeFirst(place + 1)
      searchedCount = 0
      return
    }
  }

  /// Reads one piece of a chunked body; `false` if it takes more bytes first.
  private mutating func readChunk() throws(HTTPParseError) -> Bool {
    guard !isWhole else { return false }
    switch chunk {
    case .size:
      guard let line = try takeLine() else { return false }
      // Extensions mean nothing here.
      let digits = line.prefix { $0 != UInt8(ascii: ";") }
      guard !digits.isEmpty, digits.count <= 8, digits.allSatisfy(\.isHexadecimalDigit),
        let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
      else { throw HTTPParseError(400, "a chunk's size is not a hexadecimal number") }
      guard size <= HTTPHead.maximumBodyByteCount - body.count else { throw .tooLarge }
      chunk = size == 0 ? .trailer : .data(remaining: size)
    case .data(let remaining):
      let count = min(remaining, pending.count)
      guard count > 0 else { return false }
      body += pending.prefix(count)
      pending.removeFirst(count)
      chunk = count == remaining ? .end : .data(remaining: remaining - count)
    case .end:
      guard let line = try takeLine() else { return false }
      guard line.isEmpty else { throw HTTPParseError(400, "a chunk is longer than its size") }
      chunk = .size
    case .trailer:
      guard let line = try takeLine() else { return false }
      // Nothing here reads trailers, so none is taken.
      guard line.isEmpty else { throw HTTPParseError(400, "trailers are not understood") }
      isWhole = true
    }
    return true
  }

  private static let maximumChunkLineByteCount = 256

  /// The next line without its end; `nil` if it has not come.
  private mutating func takeLine() throws(HTTPParseError) -> [UInt8]? {
    let reach = pending.prefix(Self.maximumChunkLineByteCount)
    guard let end = reach.firstIndex(of: UInt8(ascii: "\n")) else {
      guard reach.count < Self.maximumChunkLineByteCount else {
        throw HTTPParseError(400, "a chunk's line is too long")
      }
      return nil
    }
    guard end > 0, pending[end - 1] == UInt8(ascii: "\r") else {
      throw HTTPParseError(400, "a chunk's line ends without a carriage return")
    }
    defer { pending.removeFirst(end + 1) }
    return Array(pending[..<(end - 1)])
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
    } while !assembly.isWhole
    guard let head = assembly.head else { throw HTTPParseError(400, "there is no head") }
    try self.init(head)
    body = assembly.body
  }
}
