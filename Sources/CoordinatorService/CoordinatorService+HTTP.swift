import CoordinatorAPI
import Foundation
import HTTP
import Hashing
import ServiceSupport
import SystemIO

/// An answer other than success.
struct APIFailure: Error {
  var status: Int
  var error: String
  var hint: String?
  var headers: [String: String]

  init(
    _ status: Int, _ error: String, try hint: String? = nil, headers: [String: String] = [:]
  ) {
    self.status = status
    self.error = error
    self.hint = hint
    self.headers = headers
  }

  var response: HTTPResponse {
    let problem = Problem(
      title: HTTPResponse.reason(ofStatus: status), status: status, detail: error, hint: hint)
    var response = HTTPResponse(problem, status: status)
    response.contentType = Problem.contentType
    response.headers.merge(headers) { $1 }
    return response
  }
}

extension CoordinatorService {
  /// How the server talks to the service.
  var httpHandler: HTTPHandler {
    HTTPHandler(
      refuse: { [self] request in
        do throws(APIFailure) {
          try route(of: request).checkBodySize()
          return nil
        } catch {
          return noted(error.response, nil, since: SystemClock.seconds)
        }
      },
      answer: { [self] in answer($0) },
      knows: { [self] in caller($0) != nil },
      complain: { [self] status, reason in
        noted(APIFailure(status, reason).response, nil, since: SystemClock.seconds)
      })
  }

  private func answer(_ request: HTTPRequest) -> HTTPResponse {
    let start = SystemClock.seconds
    var route: Route?
    do {
      // Once more: a key may have been revoked while the body came.
      let call = try self.route(of: request)
      route = call.route
      try call.checkBodySize()
      return noted(Self.conditional(request, try call.answer(self)), route, since: start)
    } catch let failure as APIFailure {
      return noted(failure.response, route, since: start)
    } catch {
      log.write(.requestFailed, route?.description)
      return noted(APIFailure(500, "\(error)").response, route, since: start)
    }
  }

  /// Counts an answer and logs it, and adds what every answer says.
  ///
  /// - Parameter route: `nil` for what was refused before it had one: then nothing of the request
  ///   is repeated, as anybody may have sent it.
  private func noted(_ response: HTTPResponse, _ route: Route?, since start: Double)
    -> HTTPResponse
  {
    let seconds = SystemClock.seconds - start
    requestLog.withLock {
      $0.add(route?.kind ?? .read, status: response.status, seconds: seconds)
    }
    log.write(
      .requestAnswered, "\(route?.description ?? "refused"): \(response.status)",
      [.durationMilliseconds: Log.Value(seconds: seconds)])
    var response = response
    response.headers["X-Content-Type-Options"] = "nosniff"
    // What is answered today may have to be forgotten tomorrow: no cache may keep it.
    if response.headers["Cache-Control"] == nil { response.headers["Cache-Control"] = "no-store" }
    return response
  }

  /// Names what is answered by its content, and says nothing to whoever has it already.
  private static func conditional(_ request: HTTPRequest, _ response: HTTPResponse) -> HTTPResponse
  {
    guard request.method != "POST", response.status == 200, response.stream == nil else {
      return response
    }
    var response = response
    let tag = "\"\(SHA256.hash(response.body).hex.prefix(32))\""
    response.headers["ETag"] = tag
    let known = (request.headers["if-none-match"] ?? "").split(separator: ",").map {
      $0.trimmingCharacters(in: .whitespaces)
    }
    if known.contains(tag) || known.contains("*") {
      response.status = 304
      response.body = []
    }
    return response
  }
}

extension APIFailure {
  init(_ problem: JSONOutline.Problem) {
    switch problem {
    case .tooDeep:
      self.init(400, "the body has more than \(JSONOutline.depthLimit) brackets in each other")
    case .tooMany:
      self.init(
        413,
        "the body holds more than \(JSONOutline.valueLimit) values, or "
          + "\(JSONOutline.containerLimit) lists and objects",
        try: "send several smaller requests")
    case .nameTwice(let name):
      self.init(400, "the body names \"\(name.prefix(64))\" twice in one object")
    }
  }
}

extension HTTPResponse {
  init(_ value: some Encodable, status: Int = 200) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      self.init(status: status, body: Array(try encoder.encode(value)))
    } catch {
      // Only a number that JSON cannot write, such as an infinite logit, leads here.
      self = APIFailure(500, "the answer holds a number JSON cannot write").response
    }
  }

  init(text: String, status: Int = 200) {
    self.init(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
  }
}

extension HTTPRequest {
  /// Reads the body as the JSON of a type, without anything that the type does not know: a name
  /// that is misspelt must not be ignored in silence.
  func decoded<Value: Codable>() throws(APIFailure) -> Value {
    let kind = headers["content-type"]?.prefix { $0 != ";" }.lowercased()
    guard kind == nil || kind == "application/json" else {
      throw APIFailure(415, "the body is not application/json")
    }
    do {
      let sent = try JSONOutline(body)
      let value = try JSONDecoder().decode(Value.self, from: Data(body))
      let known = try JSONOutline(Array(try JSONEncoder().encode(value)))
      let strange = sent.paths.subtracting(known.paths).min { $0.lexicographicallyPrecedes($1) }
      guard let name = strange?.last else { return value }
      throw APIFailure(400, "this path knows no \"\(name.prefix(64))\"")
    } catch let failure as APIFailure {
      throw failure
    } catch let problem as JSONOutline.Problem {
      throw APIFailure(problem)
    } catch let error as DecodingError {
      throw APIFailure(400, "the body is not the JSON this path takes: \(Self.place(of: error))")
    } catch {
      throw APIFailure(400, "the body is not the JSON this path takes")
    }
  }

  private static func place(of error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      let path = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }
      return "\(path.joined(separator: ".").prefix(64)) is of another type"
    default: return "it cannot be read"
    }
  }
}
