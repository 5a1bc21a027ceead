import CoordinatorAPI
import Foundation
import SystemIO
import TestKit
import Testing

/// Who reaches the HTTP port without a token, or with a body that is no request.
@Suite("The HTTP port's edge, with a real coordinator", .serialized) struct EdgeTests {
  private func address(_ run: TestRun) throws -> NetworkAddress {
    try #require(NetworkAddress(try run.endpoint("http")))
  }

  /// Sends a request as it stands, and reads until the end.
  private func ask(_ run: TestRun, _ head: [String], _ body: [UInt8] = []) throws -> String {
    let connection = try TCPConnection.connect(to: try address(run))
    connection.setTimeout(seconds: 60)
    let lines = head + ["Content-Length: \(body.count)", "Connection: close", "", ""]
    try connection.write(Array(lines.joined(separator: "\r\n").utf8))
    // Refused before it is read: then writing fails, and the answer is there.
    do { try connection.write(body) } catch {}
    var answer: [UInt8] = []
    while let bytes = try? connection.readSome(limit: 1 << 16), !bytes.isEmpty { answer += bytes }
    return String(decoding: answer, as: UTF8.self)
  }

  private func token(_ run: TestRun) throws -> String {
    try String(
      contentsOf: run.folder.appendingPathComponent("data/token"), encoding: .utf8
    ).trimmingCharacters(in: .newlines)
  }

  @Test("silent strangers, however many, keep nobody else out")
  func silence() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let address = try address(run)
    let strangers = try (0..<520).map { _ in try TCPConnection.connect(to: address) }
    for _ in 0..<5 { #expect(try run.status().records == 60) }
    #expect(try run.delete(["r1"])[0].outcome == .accepted)
    for stranger in strangers { stranger.shutDown() }
    #expect(try run.status().records == 59)
  }

  private func peakMemory(_ process: Int32) throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
    return 1024 * (try #require(Int(line.split(separator: " ").dropLast().last ?? "")))
  }

  @Test("a body of brackets is refused before anything is built from it")
  func brackets() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let process = try #require(run.coordinator?.processIdentifier)
    let head = [
      "POST /v1/deletions HTTP/1.1", "Host: localhost", "Content-Type: application/json",
      "Authorization: Bearer \(try token(run))",
    ]
    let pairs = Array(repeating: Array("[],".utf8), count: 6_600_000).joined()
    let flat = Array("{\"ids\":[".utf8) + pairs + Array("[]]}".utf8)
    #expect(try ask(run, head, flat).contains("413"))
    let deep = [UInt8](repeating: UInt8(ascii: "["), count: 20_000_000)
    #expect(try ask(run, head, deep).contains("400"))
    let twice = Array(#"{"ids":["r1"],"ids":["r2"]}"#.utf8)
    #expect(try ask(run, head, twice).contains("400"))
    let large = [
      "POST /v1/audits HTTP/1.1", "Host: localhost", "Content-Type: application/json",
      "Authorization: Bearer \(try token(run))",
    ]
    #expect(try ask(run, large, [UInt8](repeating: 0x20, count: 2 << 20)).contains("413"))
    if Pace.sanitizer == nil {
      let peak = try peakMemory(process)
      #expect(peak < 300 << 20, "\(peak) bytes")
    }
    #expect(try run.status().records == 60)
  }

  @Test("a request for another site is refused, whoever sends it")
  func hosts() throws {
    let run = try TestRun(coordinator: #"httpNames: ["Lethe.example.org"]"#)
    try run.startCoordinator()
    let rows: [(host: String, isTaken: Bool)] = [
      ("localhost", true), ("LOCALHOST:9000", true), ("127.0.0.1", true),
      (try run.endpoint("http"), true), ("[::1]:80", true), ("10.1.2.3:7443", true),
      ("lethe.example.org:7443", true), ("evil.example", false), ("localhost.evil.example", false),
      ("127.0.0.1.evil.example", false), ("lethe.example.org.evil.example", false),
      ("[::1].evil.example", false),
    ]
    for row in rows {
      for path in ["/readyz", "/v1/status", "/"] {
        let answer = try ask(
          run,
          [
            "GET \(path) HTTP/1.1", "Host: \(row.host)",
            "Authorization: Bearer \(try token(run))",
          ])
        #expect(answer.hasPrefix("HTTP/1.1 421") != row.isTaken, "\(row.host) \(path): \(answer)")
      }
    }
  }
}
