/// The part of a message before its body, read strictly: what two readers could take differently is
/// refused, as somebody may hide a second request in it (RFC 9112, section 11.2).
struct HTTPHead: Equatable {
  /// How many bytes of body follow.
  enum Framing: Equatable {
    case length(Int)
    case chunked
  }

  /// The three parts of the first line.
  var start: [String]
  /// Names in lower case; repeated lists joined by commas.
  var headers: [String: String]
  var framing: Framing

  static let maximumByteCount = 16 << 10
  static let maximumTargetByteCount = 8 << 10
  static let maximumFieldCount = 100
  static let maximumBodyByteCount = 64 << 20

  /// Parses everything up to, and without, the empty line.
  init(_ bytes: some Collection<UInt8>) throws(HTTPParseError) {
    let pieces = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // Every line but the last still has its carriage return.
    var lines = pieces.dropLast().map { $0.dropLast() } + pieces.suffix(1)
    start = try Self.words(of: lines.removeFirst())
    headers = [:]
    guard lines.count <= Self.maximumFieldCount else {
      throw HTTPParseError(431, "there are more than \(Self.maximumFieldCount) header lines")
    }
    for line in lines {
      let (name, value) = try Self.field(line)
      guard let earlier = headers[name] else {
        headers[name] = value
        continue
      }
      guard !Self.singular.contains(name) else {
        throw HTTPParseError(400, "the header \(name) stands twice")
      }
      headers[name] = "\(earlier), \(value)"
    }
    framing = try Self.framing(headers)
  }

  /// Whether the sender closes, or wants the other side to close, after this message.
  var endsConnection: Bool {
    let options = (headers["connection"] ?? "").lowercased().split(separator: ",").map {
      $0.trimmed
    }
    if options.contains("close") { return true }
    return !start.contains("HTTP/1.1") && !options.contains("keep-alive")
  }

  /// Whose meaning would be lost in a list.
  private static let singular: Set = [
    "authorization", "content-length", "content-type", "expect", "host", "idempotency-key",
    "if-none-match", "last-event-id", "transfer-encoding",
  ]

  private static func words(of line: some Collection<UInt8>) throws(HTTPParseError) -> [String] {
    guard let text = String(validating: line, as: UTF8.self),
      text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
    else { throw HTTPParseError(400, "the first line holds control characters") }
    // A response's reason phrase may itself hold spaces.
    return text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      .map(String.init)
  }

  private static func field(_ line: some Collection<UInt8>) throws(HTTPParseError)
    -> (name: String, value: String)
  {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
      HTTPToken.isToken(line[..<colon])
    else { throw HTTPParseError(400, "a header line has no name, or a space before its colon") }
    let value = line[line.index(after: colon)...]
    guard let text = String(validating: value, as: UTF8.self),
      text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 })
    else { throw HTTPParseError(400, "a header holds control characters, or is not UTF-8") }
    return (String(decoding: line[..<colon], as: UTF8.self).lowercased(), text.trimmed)
  }

  private static func framing(_ headers: [String: String]) throws(HTTPParseError) -> Framing {
    if let encoding = headers["transfer-encoding"] {
      guard headers["content-length"] == nil else {
        throw HTTPParseError(400, "Transfer-Encoding and Content-Length contradict each other")
      }
      guard encoding.lowercased() == "chunked" else {
        throw HTTPParseError(501, "the only Transfer-Encoding understood is chunked")
      }
      return .chunked
    }
    // Digits alone: the library also takes a sign, and another reader would not.
    let digits = headers["content-length"] ?? "0"
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
      throw HTTPParseError(400, "Content-Length is not a number")
    }
    guard let length = Int(digits), length <= maximumBodyByteCount else { throw .tooLarge }
    return .length(length)
  }
}

/// What names of methods and headers are made of (RFC 9110, section 5.6.2).
enum HTTPToken {
  static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
    !bytes.isEmpty && bytes.allSatisfy { characters.contains($0) }
  }

  private static let characters = Set(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
}

extension StringProtocol {
  /// Without spaces and tabs at both ends.
  var trimmed: String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    let start = drop(while: isBlank)
    return String(
      start.prefix(
        upTo: start.lastIndex { !isBlank($0) }.map(start.index(after:))
          ?? start.startIndex))
  }
}
