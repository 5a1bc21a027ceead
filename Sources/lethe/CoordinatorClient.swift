import ByteCoding
import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Foundation
import HTTP
import Hashing
import ServiceSupport
import SystemIO
import WireFormat

/// Talks to a run's coordinator for the verbs that need one.
struct CoordinatorClient: Sendable {
  private let address: NetworkAddress
  private let token: String

  /// The options every such verb has.
  static let options = [
    CommandOption(
      "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
      help: "The run file; its directory says where the coordinator listens."),
    CommandOption(
      "coordinator", .text, placeholder: "HOST:PORT", environment: "LETHE_COORDINATOR",
      help: "The coordinator's HTTP address, instead of a run file; needs --token-file."),
    CommandOption(
      "token-file", .path, placeholder: "FILE", environment: "LETHE_TOKEN_FILE",
      help: "The run's file token, or a key of role operator or reader; default: found by itself."),
  ]

  /// What every such verb may end with: no run file, a wrong one or a wrong token, a refusal, or a
  /// file that it is given and that is not there.
  static let exitCodes: [ExitCode] = [
    .badData, .missingInput, .unavailable, .tryLater, .configuration,
  ]

  init(_ arguments: ParsedArguments) throws {
    if let text = arguments.string(ifGiven: "coordinator") {
      guard let address = NetworkAddress(text) else {
        throw UserFacingError.usage(
          "--coordinator is not host:port", try: "write 127.0.0.1:7421")
      }
      guard let path = arguments.string(ifGiven: "token-file") else {
        throw UserFacingError.usage(
          "--coordinator needs --token-file", try: "the token is in the run's directory")
      }
      try self.init(address: address, tokenPath: path)
    } else {
      let path = arguments.string("run")
      let file = try readRunFile(path)
      try self.init(
        directory: resolve(file.coordinator.directory, base: folder(of: path)),
        tokenPath: arguments.string(ifGiven: "token-file"))
    }
  }

  init(directory: String, tokenPath: String? = nil) throws {
    guard let endpoint = try Endpoint.read(from: directory),
      let address = NetworkAddress(endpoint.http)
    else {
      throw ServiceError(
        .unavailable, "no coordinator has run on \(directory)",
        try: "start one: lethe up --run FILE")
    }
    try self.init(address: address, tokenPath: tokenPath ?? "\(directory)/token")
  }

  private init(address: NetworkAddress, tokenPath: String) throws {
    self.address = address
    guard try !FileSystem.exists(tokenPath) || FileSystem.isPrivate(tokenPath) else {
      throw ServiceError(
        .configuration, "\(tokenPath) holds a token, and others than its owner may read it",
        try:
          "chmod 600 \(tokenPath); if somebody else may have read it, make another: lethe help key")
    }
    let text = String(
      decoding: TextLines.withoutByteOrderMark(try FileSystem.read(tokenPath)), as: UTF8.self)
    if let key = PeerKey(line: text) {
      token = "\(key.id.hex).\(key.secret.hex)"
    } else {
      token = text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  /// The page at `/`, with the token where the page finds it and no server ever does.
  var pageAddress: String { "http://\(address)/#token=\(token.percentEncoded)" }

  func get<Value: Decodable>(_ path: String, timeoutSeconds: Int = 20) throws -> Value {
    try decode(send("GET", path, [], timeoutSeconds))
  }

  func post<Value: Decodable>(
    _ path: String, _ body: (some Encodable)? = Optional<Int>.none, timeoutSeconds: Int = 120
  ) throws -> Value {
    let bytes = try body.map { Array(try JSONEncoder().encode($0)) } ?? []
    return try decode(send("POST", path, bytes, timeoutSeconds))
  }

  func bytes(_ path: String, timeoutSeconds: Int = 60) throws -> [UInt8] {
    try send("GET", path, [], timeoutSeconds)
  }

  func artifact(_ digest: String) throws -> [UInt8] {
    try send("GET", "/v1/artifacts?digest=\(digest)", [], 60)
  }

  private func send(_ method: String, _ path: String, _ body: [UInt8], _ timeoutSeconds: Int)
    throws -> [UInt8]
  {
    let response: HTTPResponse
    do {
      var headers = ["Authorization": "Bearer \(token)"]
      if !body.isEmpty { headers["Content-Type"] = "application/json" }
      response = try HTTPClient.send(
        method, path, body: body, headers: headers, to: address, timeoutSeconds: timeoutSeconds)
    } catch let error as SystemCallError where error.isTimeout {
      throw ServiceError(
        .unavailable, "the coordinator at \(address) has not answered for \(timeoutSeconds) s",
        try: "see what its process does: lethe doctor names it, ops/runbooks/LetheDown.md goes on")
    } catch {
      throw ServiceError(
        .unavailable, "the coordinator at \(address) does not answer: \(error)",
        try: "see whether it runs: lethe up --run FILE starts one")
    }
    guard response.status == 200 else {
      let failure = try? JSONDecoder().decode(Problem.self, from: Data(response.body))
      let kind: ServiceError.Kind =
        switch response.status {
        case 503: .unavailable
        case 401, 403: .configuration
        case 400, 404, 410, 413, 422: .badData
        case 409: .tryLater
        default: .failure
        }
      throw ServiceError(
        kind, failure?.detail ?? "the coordinator answered \(response.status)",
        try: failure?.hint)
    }
    return response.body
  }

  private func decode<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(bytes))
  }
}

/// Reads a run file, with its path in every complaint.
func readRunFile(_ path: String) throws -> RunFile {
  let bytes: [UInt8]
  do {
    bytes = try FileSystem.read(path)
  } catch {
    throw ServiceError(
      .missingInput, "the run file cannot be read: \(error)",
      try: "lethe init makes one; --run says where it is")
  }
  do {
    return try RunFile.parse(bytes)
  } catch {
    throw ServiceError(.configuration, "\(path): \(error.message)", try: error.hint)
  }
}

/// The folder that relative paths in a file start from.
func folder(of path: String) -> String { FileSystem.directory(of: path) }

/// Does what writes an output, and says of a failure that it is the output's.
func writing(_ path: String, _ write: () throws -> Void) throws {
  do {
    try write()
  } catch let error as SystemCallError {
    throw ServiceError(
      .cannotWrite, "cannot write \(path): \(error)",
      try: "choose a folder that is there and that you may write to")
  }
}

/// Prints a result as JSON, or as the text made from it.
func show<Value: Encodable>(
  _ value: Value, _ arguments: ParsedArguments, _ console: Console, text: (Value) -> String
) throws {
  switch arguments.format {
  case .json: try console.printJSON(value)
  case .text, .table, .dot, .openlineage: try console.print(text(value))
  }
}
