/// A request as it came: HTTP/1.1, one per connection.
package struct HTTPRequest: Sendable {
  package var method: String
  /// Path without query, percent-decoded by segment.
  package var segments: [String]
  package var query: [String: String] = [:]
  /// Names in lower case.
  package var headers: [String: String] = [:]
  package var body: [UInt8] = []

  package init(method: String, segments: [String], query: [String: String] = [:]) {
    self.method = method
    self.segments = segments
    self.query = query
  }
}

package struct HTTPResponse: Sendable {
  package var status: Int
  package var contentType: String
  package var body: [UInt8]

  package init(status: Int, contentType: String = "application/json", body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// Why bytes are not a request or a response; `status` is what a server answers.
package struct HTTPParseError: Error, Equatable, Sendable {
  package var status: Int
  package var reason: String

  init(_ status: Int, _ reason: String) {
    self.status = status
    self.reason = reason
  }
}

/// The part of a message before its body.
struct HTTPHead: Equatable {
  var startLine: String
  var headers: [String: String]
  var contentLength: Int

  static let maximumByteCount = 16 << 10
  static let maximumBodyByteCount = 64 << 20

  /// Parses everything up to, and without, the empty line.
  init(_ bytes: some Collection<UInt8>) throws(HTTPParseError) {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw HTTPParseError(400, "the head is not UTF-8")
    }
    // A line ending is one Character in Swift, so the split is on Character's terms.
    let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    startLine = String(lines[0])
    headers = [:]
    for line in lines.dropFirst() where !line.isEmpty {
      guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
        throw HTTPParseError(400, "a header line has no name")
      }
      let name = line[..<colon].lowercased()
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      guard headers.updateValue(String(value), forKey: name) == nil else {
        throw HTTPParseError(400, "the header \(name) stands twice")
      }
    }
    guard headers["transfer-encoding"] == nil else {
      throw HTTPParseError(501, "send a Content-Length instead of a Transfer-Encoding")
    }
    // Digits alone: the library also takes a sign, and another reader would not.
    let digits = headers["content-length"] ?? "0"
    guard let length = Int(digits), digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
      throw HTTPParseError(400, "Content-Length is not a number")
    }
    guard length <= Self.maximumBodyByteCount else {
      throw HTTPParseError(413, "the body is larger than \(Self.maximumBodyByteCount) bytes")
    }
    contentLength = length
  }
}

extension HTTPRequest {
  init(_ head: HTTPHead, body: [UInt8]) throws(HTTPParseError) {
    let parts = head.startLine.split(separator: " ")
    guard parts.count == 3, parts[2].hasPrefix("HTTP/1."), parts[1].hasPrefix("/") else {
      throw HTTPParseError(400, "the request line is malformed")
    }
    let target = parts[1].split(separator: "?", maxSplits: 1)
    var segments: [String] = []
    for segment in (target.first ?? "").split(separator: "/") {
      guard let decoded = segment.percentDecoded else {
        throw HTTPParseError(400, "the path is not percent-encoded UTF-8")
      }
      segments.append(decoded)
    }
    self.init(method: String(parts[0]), segments: segments)
    for pair in target.count == 2 ? target[1].split(separator: "&") : [] {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = sides[0].percentDecoded,
        let value = (sides.count == 2 ? sides[1] : "").percentDecoded
      else { throw HTTPParseError(400, "the query is not percent-encoded UTF-8") }
      query[name] = value
    }
    headers = head.headers
    self.body = body
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
      guard rest.count >= 2,
        rest.prefix(2).allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
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
