import HTTP
import WireFormat

/// One operation of the API; `Protocols/openapi.yaml` says the same in its own words.
package struct Route: Sendable, CustomStringConvertible {
  /// What a caller must be allowed to.
  enum Access: CaseIterable {
    /// Whoever reaches the address.
    case anybody
    /// See how the run stands: nothing that reveals a record or a text.
    case look
    /// Have texts classified.
    case predict
    /// Read receipts, which show where a deleted record lay.
    case receipts
    /// Read lineage, which shows who shares a slice with whom, and have blocks trained again.
    case audit
    case delete
    /// Everything else: training, copies outside the run, salts, the model itself.
    case operate

    /// The one table of who may do what; `ops/docs/reference/roles.md` says what follows from it.
    static func allowed(to role: KeyRole) -> Set<Access> {
      switch role {
      case .operator: Set(allCases)
      case .deleter: [.anybody, .look, .receipts, .delete]
      case .auditor: [.anybody, .look, .receipts, .audit]
      case .reader: [.anybody, .look]
      case .predictor: [.anybody, .predict]
      // For the wire alone.
      case .worker, .serve: [.anybody]
      }
    }
  }

  /// Who asks, once a token has shown it.
  struct Caller: Equatable {
    /// The key's, or `token` for the run's own.
    var name: String
    var role: KeyRole

    func may(_ access: Access) -> Bool { Access.allowed(to: role).contains(access) }
  }

  /// What an operation is asked.
  struct Call {
    var route: Route
    var request: HTTPRequest
    /// What stood in the path for each of its names.
    var parameters: [String: String]

    /// Refuses a body that is larger than anything this operation is asked, at best unread.
    func checkBodySize() throws(APIFailure) {
      let announced = request.headers["content-length"].flatMap { Int($0) } ?? 0
      guard max(announced, request.body.count) <= route.bodyByteCountLimit else {
        throw APIFailure(413, "this path takes bodies of \(route.bodyByteCountLimit) bytes")
      }
    }

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
  let bodyByteCountLimit: Int
  let answer: Answer
  private let pattern: [Substring]

  init(
    _ method: String, _ path: String, _ access: Access, query: Set<String> = [],
    kind: RequestKind? = nil, body bodyByteCountLimit: Int = 1 << 20, _ answer: @escaping Answer
  ) {
    self.method = method
    self.path = path
    self.access = access
    self.query = query
    self.kind = kind ?? (method == "GET" ? .read : .write)
    self.bodyByteCountLimit = bodyByteCountLimit
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
    try checkHost(request)
    let caller = caller(request)
    guard caller != nil || call?.route.access == .anybody else {
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
    guard call.route.access == .anybody || caller?.may(call.route.access) ?? false else {
      throw APIFailure(
        403, "a key of role \(caller?.role.rawValue ?? "none") does not allow this",
        try: "use the run's token, or a key of a role that does: lethe key new --role operator")
    }
    return call
  }
}

extension StringProtocol {
  /// Digits alone: the library's reader of numbers also takes a sign.
  var isDigits: Bool { !isEmpty && utf8.allSatisfy { (48...57).contains($0) } }
}
