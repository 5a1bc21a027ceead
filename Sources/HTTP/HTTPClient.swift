import SystemIO

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
    var assembly = HTTPAssembly()
    while !assembly.isWhole {
      let bytes = try connection.readSome(limit: assembly.wantedByteCount)
      guard !bytes.isEmpty || !assembly.isEmpty else {
        throw HTTPParseError(502, "the server closed the connection without an answer")
      }
      try assembly.take(bytes)
    }
    guard let start = assembly.head?.start, start.count >= 2, let status = Int(start[1]) else {
      throw HTTPParseError(502, "the server's status line is malformed")
    }
    return HTTPResponse(
      status: status, contentType: assembly.head?.headers["content-type"] ?? "",
      body: assembly.body)
  }
}
