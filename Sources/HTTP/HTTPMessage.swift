/// A request as it came: HTTP/1.1, or HTTP/1.0.
package struct HTTPRequest: Sendable {
  package var method: String
  /// Path without query, percent-decoded by segment; empty for `/`.
  package var segments: [String]
  package var query: [String: String] = [:]
  /// Names in lower case.
  package var headers: [String: String] = [:]
  package var body: [UInt8] = []
}

/// What a server says.
package struct HTTPResponse: Sendable {
  /// Sends pieces for as long as it likes; the connection ends with it.
  package typealias Stream = @Sendable (_ send: ([UInt8]) throws -> Void) throws -> Void

  package var status: Int
  package var contentType: String
  package var body: [UInt8]
  /// Besides those that every response has.
  package var headers: [String: String]
  /// Follows the body.
  package var stream: Stream?

  package init(
    status: Int, contentType: String = "application/json", body: [UInt8],
    headers: [String: String] = [:], stream: Stream? = nil
  ) {
    self.status = status
    self.contentType = contentType
    self.body = body
    self.headers = headers
    self.stream = stream
  }

  /// What statuses are called (RFC 9110, section 15).
  package static func reason(ofStatus status: Int) -> String { reasons[status] ?? "Status" }

  private static let reasons = [
    200: "OK", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Content",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
  ]
}

/// Why bytes are not a request or a response; `status` is what a server answers.
package struct HTTPParseError: Error, Equatable, Sendable {
  package var status: Int
  package var reason: String

  init(_ status: Int, _ reason: String) {
    self.status = status
    self.reason = reason
  }

  static let tooLarge = HTTPParseError(
    413, "the body is larger than \(HTTPHead.maximumBodyByteCount) bytes")
  static let headTooLarge = HTTPParseError(
    431, "the head is larger than \(HTTPHead.maximumByteCount) bytes")
}

extension HTTPRequest {
  /// A request whose body is still to come.
  init(_ head: HTTPHead) throws(HTTPParseError) {
    guard head.start.count == 3, HTTPToken.isToken(head.start[0].utf8) else {
      throw HTTPParseError(400, "the request line is not a method, a target and a version")
    }
    try Self.check(version: head.start[2], head)
    method = head.start[0]
    headers = head.headers
    (segments, query) = try Self.parts(ofTarget: head.start[1])
  }

  private static func check(version: String, _ head: HTTPHead) throws(HTTPParseError) {
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
      throw version.hasPrefix("HTTP/") && version.utf8.count == 8
        ? HTTPParseError(505, "only HTTP/1.1 and HTTP/1.0 are understood")
        : HTTPParseError(400, "the request line is malformed")
    }
    guard version == "HTTP/1.1" || head.framing != .chunked else {
      throw HTTPParseError(400, "HTTP/1.0 has no Transfer-Encoding")
    }
    // Names, addresses and ports; anything else is not a host (RFC 9112, section 3.2).
    let host = head.headers["host"]
    guard host != nil || version == "HTTP/1.0" else {
      throw HTTPParseError(400, "there is no Host header")
    }
    guard (host ?? "").utf8.allSatisfy({ hostCharacters.contains($0) }) else {
      throw HTTPParseError(400, "the Host header is not a host")
    }
    let expectation = head.headers["expect"]
    guard expectation == nil || expectation?.lowercased() == "100-continue" else {
      throw HTTPParseError(417, "the only expectation understood is 100-continue")
    }
  }

  private static let hostCharacters = Set(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]".utf8)

  private static func parts(ofTarget text: String) throws(HTTPParseError)
    -> (segments: [String], query: [String: String])
  {
    guard text.utf8.count <= HTTPHead.maximumTargetByteCount else {
      throw HTTPParseError(
        414, "the target is longer than \(HTTPHead.maximumTargetByteCount) bytes")
    }
    guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "#") }) else {
      throw HTTPParseError(400, "the target holds characters that must be percent-encoded")
    }
    var target = text[...]
    // Proxies may name the whole address (RFC 9112, section 3.2.2).
    if target.lowercased().hasPrefix("http://") {
      target = target.dropFirst("http://".count)
      let host = target.prefix { $0 != "/" && $0 != "?" }
      guard host.utf8.allSatisfy({ hostCharacters.contains($0) }) else {
        throw HTTPParseError(400, "the target's host is not a host")
      }
      target = target.dropFirst(host.count)
      if target.first != "/" { target = "/" + target }
    }
    guard target.hasPrefix("/") else { throw HTTPParseError(400, "the target is not a path") }
    let sides = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    var segments: [String] = []
    for segment in sides[0].dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      guard let decoded = segment.percentDecoded,
        decoded.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
      else { throw HTTPParseError(400, "the path is not percent-encoded text") }
      guard decoded != ".", decoded != ".." else {
        throw HTTPParseError(400, "the path holds dots that lead elsewhere")
      }
      segments.append(decoded)
    }
    if segments == [""] { segments = [] }
    return (segments, try query(sides.count == 2 ? sides[1] : ""))
  }

  private static func query(_ text: Substring) throws(HTTPParseError) -> [String: String] {
    var query: [String: String] = [:]
    for pair in text.split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        .map { $0.map { $0 == "+" ? " " : $0 } }.map { String($0) }
      guard let name = sides[0].percentDecoded,
        let value = (sides.count == 2 ? sides[1] : "").percentDecoded
      else { throw HTTPParseError(400, "the query is not percent-encoded UTF-8") }
      guard query.updateValue(value, forKey: name) == nil else {
        throw HTTPParseError(400, "a name stands twice in the query")
      }
    }
    return query
  }
}

extension UInt8 {
  var isHexadecimalDigit: Bool {
    switch self {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
    default: false
    }
  }
}

extension StringProtocol {
  var percentDecoded: String? {
    var bytes: [UInt8] = []
    var rest = Array(utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      // The library's reader of numbers also takes a sign.
      guard rest.count >= 2, rest.prefix(2).allSatisfy(\.isHexadecimalDigit),
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  /// Encodes everything but letters, digits and `-._~`.
  package var percentEncoded: String {
    var text = ""
    for byte in utf8 {
      let scalar = Unicode.Scalar(byte)
      if byte < 128,
        Character(scalar).isLetter || Character(scalar).isNumber
          || "-._~".unicodeScalars.contains(scalar)
      {
        text.unicodeScalars.append(scalar)
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        text += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return text
  }
}
