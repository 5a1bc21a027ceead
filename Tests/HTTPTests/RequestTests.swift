import HTTP
import Testing

@Suite struct RequestTests {
  private func parse(_ text: String) throws -> HTTPRequest {
    let bytes = Array(text.utf8)
    let request = try HTTPRequest(parsing: bytes)
    for size in [1, 3] {
      let again = try HTTPRequest(parsing: bytes, chunkByteCount: size)
      #expect(again.body == request.body && again.headers == request.headers)
    }
    return request
  }

  static let targets: [(target: String, segments: [String], query: [String: String])] = [
    ("/", [], [:]),
    ("/v1/status", ["v1", "status"], [:]),
    ("/v1//a/", ["v1", "", "a", ""], [:]),
    ("/a%2Fb/%C3%A9", ["a/b", "é"], [:]),
    ("/a?id=x%20y+z&at=3&flag&empty=", ["a"], ["id": "x y z", "at": "3", "flag": "", "empty": ""]),
    ("/a?id=%2B%26%3D=", ["a"], ["id": "+&=="]),
    ("http://localhost:1/a?b=c", ["a"], ["b": "c"]),
    ("HTTP://[::1]", [], [:]),
    ("http://host?b=c", [], ["b": "c"]),
  ]

  @Test("targets are split before they are decoded", arguments: targets)
  func target(target: String, segments: [String], query: [String: String]) throws {
    let request = try parse("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(request.segments == segments)
    #expect(request.query == query)
  }

  @Test("headers lose blanks, and lists are joined")
  func headers() throws {
    let request = try parse(
      "GET / HTTP/1.1\r\nHOST:a\r\nAccept: \t text/html \t\r\naccept: */*\r\nEmpty:\r\n\r\n")
    #expect(request.headers == ["host": "a", "accept": "text/html, */*", "empty": ""])
  }

  @Test("a body comes by its length or in chunks")
  func bodies() throws {
    let head = "POST /a HTTP/1.1\r\nHost: a\r\n"
    #expect(try parse(head + "Content-Length: 3\r\n\r\nabcdef").body == Array("abc".utf8))
    #expect(try parse(head + "\r\nabc").body.isEmpty)
    let chunks = "2;name=\"value\"\r\nab\r\n0A\r\n0123456789\r\n0\r\n\r\nGET"
    #expect(
      try parse(head + "Transfer-Encoding: Chunked\r\n\r\n" + chunks).body
        == Array("ab0123456789".utf8))
  }

  @Test("percent-encoding and decoding are inverse", arguments: ["", "a b", "é/+%&=", "\u{0}"])
  func percent(text: String) throws {
    let request = try parse("GET /?t=\(text.percentEncoded) HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(request.query == ["t": text])
  }
}
