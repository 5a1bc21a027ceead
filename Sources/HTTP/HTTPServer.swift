import Foundation
import SystemIO

/// What stands behind a server.
package struct HTTPHandler: Sendable {
  /// Looks at a request whose body is still on its way; an answer here comes instead of the body,
  /// and ends the connection, so that strangers cannot make the server read.
  package var refuse: @Sendable (HTTPRequest) -> HTTPResponse?
  package var answer: @Sendable (HTTPRequest) -> HTTPResponse
  /// Whether a request shows that its sender may ask for more than anybody: his connection is then
  /// not the first to go when there are too many.
  package var knows: @Sendable (HTTPRequest) -> Bool
  /// Says that what came is no request, or that there is no room for it.
  package var complain: @Sendable (_ status: Int, _ reason: String) -> HTTPResponse

  package init(
    refuse: @escaping @Sendable (HTTPRequest) -> HTTPResponse?,
    answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse,
    knows: @escaping @Sendable (HTTPRequest) -> Bool = { _ in false },
    complain: @escaping @Sendable (_ status: Int, _ reason: String) -> HTTPResponse
  ) {
    self.refuse = refuse
    self.answer = answer
    self.knows = knows
    self.complain = complain
  }
}

/// Answers HTTP/1.1 requests, a thread for each connection, one request after another.
package final class HTTPServer: Sendable {
  /// Who is connected, and what they hold.
  private struct Load {
    var guests: [UInt64: Guest] = [:]
    var lastGuest: UInt64 = 0
    /// Requests that have begun to come and are not answered yet.
    var requests = 0
    var streams = 0
    /// Of bodies that are being read.
    var bytes = 0
  }

  /// A connection, as far as it matters to those who come after it.
  private struct Guest {
    let connection: TCPConnection
    /// It has shown that it may ask for more than anybody.
    var isKnown = false
    /// Since when no whole head has come; `nil` while a request is answered.
    var silentSince: Double?
  }

  private let listener: TCPListener
  private let load = Guarded(Load())

  static let maximumConnectionCount = 512
  /// From here on nobody may keep a connection that he does not use.
  static let crowdedConnectionCount = 384
  static let maximumStreamCount = 32
  static let maximumBodyByteCount = 256 << 20
  static let idleSeconds = 60
  /// The same for those who have not shown yet that they may ask.
  static let strangerSeconds = 10
  static let headSeconds = 10.0
  static let bodySeconds = 120.0
  /// How long a peer may neither send nor take anything.
  static let silenceSeconds = 30

  package var address: NetworkAddress { listener.address }

  /// Requests that have begun to come and are not answered yet.
  package var openCount: Int { load.withLock { $0.requests } }

  package init(_ address: NetworkAddress) throws(SystemCallError) {
    listener = try TCPListener(address)
  }

  /// Accepts for as long as the process lives.
  package func serve(_ handler: HTTPHandler) throws(SystemCallError) {
    while true {
      let connection = try listener.accept()
      let (guest, evicted) = load.withLock { Self.admit(connection, to: &$0) }
      evicted?.shutDown()
      guard let guest else {
        let response = handler.complain(503, "too many connections; try again")
        try? connection.write(Self.encoded(response, isHead: false, isLast: true))
        connection.shutDown()
        continue
      }
      BackgroundThread.start("http") { [self] in
        var conversation = Conversation(connection, guest, self, handler)
        conversation.run()
        connection.shutDown()
        load.withLock { $0.guests[guest] = nil }
      }
    }
  }

  /// Finds room for a connection: if need be that of the stranger who has been silent longest, so
  /// that nobody can keep others out by saying nothing.
  private static func admit(_ connection: TCPConnection, to load: inout Load)
    -> (guest: UInt64?, evicted: TCPConnection?)
  {
    var evicted: TCPConnection?
    if load.guests.count >= maximumConnectionCount {
      let silent = load.guests.compactMap { number, guest in
        guest.isKnown ? nil : guest.silentSince.map { (since: $0, number: number) }
      }
      guard let oldest = silent.min(by: { ($0.since, $0.number) < ($1.since, $1.number) }) else {
        return (nil, nil)
      }
      evicted = load.guests.removeValue(forKey: oldest.number)?.connection
    }
    load.lastGuest += 1
    load.guests[load.lastGuest] = Guest(connection: connection, silentSince: SystemClock.seconds)
    return (load.lastGuest, evicted)
  }

  private var isCrowded: Bool {
    load.withLock { $0.guests.count > Self.crowdedConnectionCount }
  }

  private func claim(_ bytes: Int) -> Bool {
    load.withLock { load in
      guard bytes <= 0 || load.bytes + bytes <= Self.maximumBodyByteCount else { return false }
      load.bytes += bytes
      return true
    }
  }

  /// Head and body as they are sent.
  private static func encoded(_ response: HTTPResponse, isHead: Bool, isLast: Bool) -> [UInt8] {
    var head = "HTTP/1.1 \(response.status) \(HTTPResponse.reason(ofStatus: response.status))\r\n"
    var headers = response.headers
    headers["Date"] = HTTPDate.text(SystemClock.wallMilliseconds / 1000)
    if response.status != 304 { headers["Content-Type"] = response.contentType }
    if response.stream == nil, response.status != 304 {
      headers["Content-Length"] = "\(response.body.count)"
    }
    if isLast { headers["Connection"] = "close" }
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
    return Array((head + "\r\n").utf8) + (isHead ? [] : response.body)
  }

  /// One connection, from its first byte to its end.
  private struct Conversation {
    private let connection: TCPConnection
    private let guest: UInt64
    private let server: HTTPServer
    private let handler: HTTPHandler
    private var assembly = HTTPAssembly()
    private var claimed = 0
    private var isKnown = false

    init(
      _ connection: TCPConnection, _ guest: UInt64, _ server: HTTPServer, _ handler: HTTPHandler
    ) {
      self.guest = guest
      self.connection = connection
      self.server = server
      self.handler = handler
    }

    mutating func run() {
      defer { _ = server.claim(-claimed) }
      do {
        while try exchange() {
          try assembly.next()
          noteSilence(since: SystemClock.seconds)
          // Waiting for the next one holds nothing.
          _ = server.claim(-claimed)
          claimed = 0
        }
      } catch let error as HTTPParseError {
        refuse(handler.complain(error.status, error.reason))
      } catch {
        // The peer went away; there is nobody to answer.
      }
    }

    private func noteSilence(since time: Double?) {
      server.load.withLock { load in
        load.guests[guest]?.silentSince = time
        load.guests[guest]?.isKnown = isKnown
      }
    }

    /// Reads a request and answers it; `false` when nothing more is to come.
    private mutating func exchange() throws -> Bool {
      if assembly.isEmpty {
        connection.setTimeout(
          seconds: isKnown ? HTTPServer.idleSeconds : HTTPServer.strangerSeconds)
        let first = try connection.readSome(limit: assembly.wantedByteCount)
        guard !first.isEmpty else { return false }
        try assembly.take(first)
      }
      server.load.withLock { $0.requests += 1 }
      // A stream is no longer on its way; it has counted itself out.
      var isCounted = true
      defer { if isCounted { server.load.withLock { $0.requests -= 1 } } }
      connection.setTimeout(seconds: HTTPServer.silenceSeconds)
      try read(for: HTTPServer.headSeconds) { $0.head == nil }
      guard let head = assembly.head else { return false }
      noteSilence(since: nil)
      var request = try HTTPRequest(head)
      let isHead = request.method == "HEAD"
      if !assembly.isWhole, let refusal = handler.refuse(request) {
        refuse(refusal, isHead: isHead)
        return false
      }
      if request.headers["expect"] != nil, !assembly.isWhole {
        try connection.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
      }
      try read(for: HTTPServer.bodySeconds) { !$0.isWhole }
      request.body = assembly.body
      isKnown = handler.knows(request)
      let response = handler.answer(request)
      let isLast = head.endsConnection || response.stream != nil || server.isCrowded
      guard let stream = response.stream, !isHead else {
        try connection.write(HTTPServer.encoded(response, isHead: isHead, isLast: isLast))
        return !isLast
      }
      isCounted = false
      try send(stream, after: response)
      return false
    }

    /// Reads on while something is missing, no longer than so many seconds, and no more than
    /// everybody's bodies may take together.
    private mutating func read(for seconds: Double, while isMissing: (HTTPAssembly) -> Bool) throws
    {
      let deadline = SystemClock.seconds + seconds
      while true {
        let claim = assembly.claimedByteCount
        guard server.claim(claim - claimed) else {
          throw HTTPParseError(
            503, "other requests fill the memory that bodies may take; try again")
        }
        claimed = claim
        guard isMissing(assembly) else { return }
        let bytes: [UInt8]
        do {
          bytes = try connection.readSome(limit: assembly.wantedByteCount)
        } catch {
          guard error.isTimeout else { throw error }
          throw HTTPParseError.tooSlow
        }
        guard SystemClock.seconds < deadline else { throw HTTPParseError.tooSlow }
        try assembly.take(bytes)
      }
    }

    private func send(_ stream: HTTPResponse.Stream, after response: HTTPResponse) throws {
      let isWelcome = server.load.withLock { load in
        load.requests -= 1
        guard load.streams < HTTPServer.maximumStreamCount else { return false }
        load.streams += 1
        return true
      }
      guard isWelcome else {
        return refuse(handler.complain(503, "too many streams of events; try again"))
      }
      defer { server.load.withLock { $0.streams -= 1 } }
      try connection.write(HTTPServer.encoded(response, isHead: false, isLast: true))
      try stream { try connection.write($0) }
    }

    /// The last answer here. What the peer may still be sending is read and dropped for a moment: a
    /// connection that is closed over unread bytes is reset, and takes the answer with it.
    private func refuse(_ response: HTTPResponse, isHead: Bool = false) {
      do {
        try connection.write(HTTPServer.encoded(response, isHead: isHead, isLast: true))
        connection.endWriting()
        connection.setTimeout(seconds: 1)
        var left = 1 << 20
        let deadline = SystemClock.seconds + 2
        while left > 0, SystemClock.seconds < deadline {
          let bytes = try connection.readSome(limit: 64 << 10)
          guard !bytes.isEmpty else { return }
          left -= bytes.count
        }
      } catch {
        // Gone, or silent.
      }
    }
  }
}

extension HTTPParseError {
  static let tooSlow = HTTPParseError(408, "the request did not come in time")
}

/// Dates as HTTP writes them (RFC 9110, section 5.6.7).
enum HTTPDate {
  static func text(_ seconds: Int64) -> String {
    formatter.withLock { $0.string(from: Date(timeIntervalSince1970: Double(seconds))) }
  }

  private static let formatter = Guarded(make())

  private static func make() -> DateFormatter {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "GMT")
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return formatter
  }
}
