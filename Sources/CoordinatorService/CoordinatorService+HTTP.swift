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
          _ = try route(of: request)
          return nil
        } catch {
          return noted(error.response, nil, since: SystemClock.seconds)
        }
      },
      answer: { [self] in answer($0) },
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
      let value = try JSONDecoder().decode(Value.self, from: Data(body))
      let sent = try JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)
      let known = try JSONSerialization.jsonObject(with: try JSONEncoder().encode(value))
      guard let name = Self.unknownName(in: sent, among: known) else { return value }
      throw APIFailure(400, "this path knows no \"\(name.prefix(64))\"")
    } catch let failure as APIFailure {
      throw failure
    } catch let error as DecodingError {
      throw APIFailure(400, "the body is not the JSON this path takes: \(Self.place(of: error))")
    } catch {
      throw APIFailure(400, "the body is not the JSON this path takes")
    }
  }

  private static func unknownName(in sent: Any, among known: Any) -> String? {
    switch (sent, known) {
    case (let sent as [String: Any], let known as [String: Any]):
      for (name, value) in sent.sorted(by: { $0.key < $1.key }) where !(value is NSNull) {
        guard let other = known[name] else { return name }
        if let found = unknownName(in: value, among: other) { return found }
      }
      return nil
    case (let sent as [Any], let known as [Any]):
      return zip(sent, known).lazy.compactMap { unknownName(in: $0, among: $1) }.first
    default: return nil
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
