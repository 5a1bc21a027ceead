import Foundation
import HTTP
import SystemIO
import TestKit
import Testing

extension TestRun {
  struct Answer {
    var status: Int
    var text: String
  }

  /// Asks the coordinator over HTTP with the run's token; `body` is JSON.
  func call(_ method: String, _ path: String, _ body: String? = nil) throws -> Answer {
    let token = try String(contentsOf: folder.appendingPathComponent("data/token"), encoding: .utf8)
    let answer = try HTTPClient.send(
      method, path, body: body.map { Array($0.utf8) } ?? [],
      headers: [
        "Authorization": "Bearer \(token.trimmingCharacters(in: .whitespacesAndNewlines))",
        "Content-Type": "application/json",
      ],
      to: try #require(NetworkAddress(try endpoint("http"))),
      timeoutSeconds: Int(Pace.patience(quiet: 12)))
    return Answer(status: answer.status, text: String(decoding: answer.body, as: UTF8.self))
  }
}
