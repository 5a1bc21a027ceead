import SystemIO

extension TCPConnection {
  /// Reads head and body of one message; `nil` if the peer closed without sending any.
  func readHTTP() throws -> (head: HTTPHead, body: [UInt8])? {
    var assembly = HTTPAssembly()
    repeat {
      let chunk = try readSome(limit: assembly.wantedByteCount)
      if chunk.isEmpty, assembly.isEmpty { return nil }
      try assembly.take(chunk)
    } while assembly.wantedByteCount > 0
    return assembly.head.map { ($0, assembly.body) }
  }
}

/// Answers HTTP requests, a thread each, one request per connection.
package final class HTTPServer: Sendable {
  package typealias Handler = @Sendable (HTTPRequest) -> HTTPResponse

  private let listener: TCPListener
  private let connectionCount = Guarded(0)
  private static let maximumConnectionCount = 128
  private static let timeoutSeconds = 30

  package var address: NetworkAddress { listener.address }

  /// Requests that have come and are not answered yet.
  package var openCount: Int { connectionCount.withLock { $0 } }

  package init(_ address: NetworkAddress) throws(SystemCallError) {
    listener = try TCPListener(address)
  }

  /// Accepts for as long as the process lives.
  package func serve(_ handler: @escaping Handler) throws(SystemCallError) {
    while true {
      let connection = try listener.accept()
      let isWelcome = connectionCount.withLock { count in
        guard count < Self.maximumConnectionCount else { return false }
        count += 1
        return true
      }
      guard isWelcome else {
        Self.send(Self.error(503, "too many connections; try again"), on: connection)
        continue
      }
      BackgroundThread.start("http") { [connectionCount] in
        Self.answer(connection, handler)
        connectionCount.withLock { $0 -= 1 }
      }
    }
  }

  private static func answer(_ connection: TCPConnection, _ handler: Handler) {
    connection.setTimeout(seconds: timeoutSeconds)
    let response: HTTPResponse
    do {
      guard let (head, body) = try connection.readHTTP() else { return }
      response = handler(try HTTPRequest(head, body: body))
    } catch let error as HTTPParseError {
      response = Self.error(error.status, error.reason)
    } catch {
      // The peer went away; there is nobody to answer.
      return
    }
    send(response, on: connection)
  }

  private static func send(_ response: HTTPResponse, on connection: TCPConnection) {
    let head = """
      HTTP/1.1 \(response.status) \(reasons[response.status] ?? "Status")\r
      Content-Type: \(response.contentType)\r
      Content-Length: \(response.body.count)\r
      Connection: close\r
      \r

      """
    // A peer that no longer listens loses its answer, nothing else.
    try? connection.write(Array(head.utf8) + response.body)
    connection.shutDown()
  }

  private static func error(_ status: Int, _ reason: String) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "text/plain", body: Array((reason + "\n").utf8))
  }

  private static let reasons = [
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone",
    413: "Content Too Large",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable",
  ]
}

/// Asks an HTTP server one question.
package enum HTTPClient {
  package static func send(
    _ method: String, _ target: String, body: [UInt8] = [], headers: [String: String] = [:],
    to address: NetworkAddress, timeoutSeconds: Int
  ) throws -> HTTPResponse {
    let connection = try TCPConnection.connect(to: address)
    connection.setTimeout(seconds: timeoutSeconds)
    var head = "\(method) \(target) HTTP/1.1\r\nHost: \(address)\r\n"
    head += "Content-Length: \(body.count)\r\nConnection: close\r\n"
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
    try connection.write(Array((head + "\r\n").utf8) + body)
    guard let (responseHead, responseBody) = try connection.readHTTP() else {
      throw HTTPParseError(502, "the server closed the connection without an answer")
    }
    let parts = responseHead.startLine.split(separator: " ")
    guard parts.count >= 2, let status = Int(parts[1]) else {
      throw HTTPParseError(502, "the server's status line is malformed")
    }
    return HTTPResponse(
      status: status, contentType: responseHead.headers["content-type"] ?? "", body: responseBody)
  }
}
