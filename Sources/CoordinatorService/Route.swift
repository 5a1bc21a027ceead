import HTTP

/// One operation of the API; `Protocols/openapi.yaml` says the same in its own words.
package struct Route: Sendable, CustomStringConvertible {
  /// Who may ask.
  enum Access: Comparable {
    /// Whoever reaches the address.
    case anybody
    /// Who may see what reveals no record and no text: keys of readers.
    case reader
    /// The run's token, and keys of operators.
    case everything
  }

  /// What an operation is asked.
  struct Call {
    var route: Route
    var request: HTTPRequest
    /// What stood in the path for each of its names.
    var parameters: [String: String]

    func answer(_ service: CoordinatorService) throws -> HTTPResponse {
      for name in request.query.keys.sorted() where !route.query.contains(name) {
        throw APIFailure(400, "this path knows no query \"\(name.prefix(64))\"")
      }
      return try route.answer(service, self)
    }

    /// A whole number that the query must hold.
    func number(_ name: String) throws -> Int {
      guard let text = request.query[name], text.isDigits else {
        throw APIFailure(400, "\(name) is not a whole number, or missing")
      }
      // Larger than anything here can be.
      return Int(text) ?? .max
    }

    func number(ifGiven name: String) throws -> Int? {
      request.query[name] == nil ? nil : try number(name)
    }

    /// The journal sequence of `?at=`, if any.
    func sequence() throws -> UInt64? {
      guard let sequence = try number(ifGiven: "at") else { return nil }
      guard sequence >= 2 else {
        throw APIFailure(400, "at is not a journal sequence", try: "status shows the newest one")
      }
      return UInt64(sequence)
    }
  }

  typealias Answer = @Sendable (CoordinatorService, Call) throws -> HTTPResponse

  package let method: String
  /// With names in braces where anything may stand.
  package let path: String
  let access: Access
  /// Names that the query may hold.
  let query: Set<String>
  let kind: RequestKind
  let answer: Answer
  private let pattern: [Substring]

  init(
    _ method: String, _ path: String, _ access: Access, query: Set<String> = [],
    kind: RequestKind? = nil, _ answer: @escaping Answer
  ) {
    self.method = method
    self.path = path
    self.access = access
    self.query = query
    self.kind = kind ?? (method == "GET" ? .read : .write)
    self.answer = answer
    pattern = path.split(separator: "/")
  }

  /// The operation in general, without what a request names.
  package var description: String { "\(method) \(path)" }

  /// What stands for the path's names; `nil` where the path is another.
  func match(_ segments: [String]) -> [String: String]? {
    guard segments.count == pattern.count else { return nil }
    var parameters: [String: String] = [:]
    for (part, segment) in zip(pattern, segments) {
      if part.hasPrefix("{") {
        parameters[String(part.dropFirst().dropLast())] = segment
      } else if part != segment {
        return nil
      }
    }
    return parameters
  }
}

extension CoordinatorService {
  /// The operation a request asks for, if whoever asks may. Strangers learn nothing but 401,
  /// whatever the path.
  func route(of request: HTTPRequest) throws(APIFailure) -> Route.Call {
    let possible = Self.routes.compactMap { route in
      route.match(request.segments).map {
        Route.Call(route: route, request: request, parameters: $0)
      }
    }
    // A word of its own stands before a name that takes any word.
    let nameCount = possible.map(\.parameters.count).min()
    let matching = possible.filter { $0.parameters.count == nameCount }
    let method = request.method == "HEAD" ? "GET" : request.method
    let call = matching.first { $0.route.method == method }
    let mayAsk = access(request)
    guard mayAsk > .anybody || call?.route.access == .anybody else {
      throw APIFailure(
        401, "the bearer token is missing or wrong",
        try: "it stands in the file token of the run's directory",
        headers: ["WWW-Authenticate": "Bearer realm=\"lethe\""])
    }
    guard let call else {
      guard !matching.isEmpty else { throw APIFailure(404, "there is nothing at this path") }
      let methods = matching.flatMap { $0.route.method == "GET" ? ["GET", "HEAD"] : ["POST"] }
      throw APIFailure(
        405, "this path takes \(methods.joined(separator: ", ")) alone",
        headers: ["Allow": methods.joined(separator: ", ")])
    }
    guard mayAsk >= call.route.access else {
      throw APIFailure(
        403, "a reader's key shows how the run stands, deletions, receipts and the ledger alone",
        try: "use the run's token or an operator's key: lethe key new --role operator")
    }
    return call
  }
}

extension StringProtocol {
  /// Digits alone: the library's reader of numbers also takes a sign.
  var isDigits: Bool { !isEmpty && utf8.allSatisfy { (48...57).contains($0) } }
}
