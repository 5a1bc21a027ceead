import Foundation
import Glibc
import TestKit
import Testing

/// What systemd hears, over a socket like its own.
@Suite("Service manager", .serialized) struct ServiceManagerTests {
  /// A datagram socket at a path, or in the abstract namespace where the name begins with @.
  private static func listen(_ name: String) throws -> CInt {
    let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(name.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) {
      $0.copyBytes(from: bytes)
      if bytes[0] == UInt8(ascii: "@") { $0[0] = 0 }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, length) }
    }
    try #require(bound == 0)
    var timeout = timeval(tv_sec: Int(Pace.patience(quiet: 3)), tv_usec: 0)
    setsockopt(
      number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    return number
  }

  private static func hear(_ number: CInt) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = recv(number, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
  }

  @Test("hears that the coordinator is ready, and then again and again", arguments: [true, false])
  func notifies(isAbstract: Bool) throws {
    let run = try TestRun()
    let name =
      isAbstract ? "@lethe-\(UUID().uuidString)" : run.folder.appendingPathComponent("n").path
    let number = try Self.listen(name)
    defer { close(number) }
    let coordinator = try Lethe.start(
      ["coordinator", "--run", run.runFile],
      under: ["env", "NOTIFY_SOCKET=\(name)", "WATCHDOG_USEC=600000"],
      log: run.folder.appendingPathComponent("log"))
    defer { run.kill(coordinator) }
    let ready = Self.hear(number)
    #expect(ready.hasPrefix("READY=1\nSTATUS=workers 127.0.0.1:"), "\(run.log)")
    let endpoint = run.folder.appendingPathComponent("data/endpoint.json").path
    #expect(FileManager.default.fileExists(atPath: endpoint))
    for _ in 0..<3 { #expect(Self.hear(number) == "WATCHDOG=1") }
  }

  @Test("hears what a worker is at, that its loop turns, and that it ends")
  func worker() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let name = run.folder.appendingPathComponent("n").path
    let number = try Self.listen(name)
    defer { close(number) }
    let worker = try Lethe.start(
      ["worker", "--run", run.runFile],
      under: ["env", "NOTIFY_SOCKET=\(name)", "WATCHDOG_USEC=600000"],
      log: run.folder.appendingPathComponent("log"))
    defer { run.kill(worker) }
    #expect(Self.hear(number).hasPrefix("READY=1\nSTATUS=connecting to 127.0.0.1:"), "\(run.log)")
    var heard: [String] = []
    func count(_ isIt: (String) -> Bool) -> Int { heard.count(where: isIt) }
    func isConnected(_ text: String) -> Bool { text.hasPrefix("STATUS=connected to 127.0.0.1:") }
    while count(isConnected) == 0 || count({ $0 == "WATCHDOG=1" }) < 4,
      let next = Self.message(number)
    {
      heard.append(next)
    }
    #expect(count(isConnected) == 1, "\(heard)")
    #expect(count { $0 == "WATCHDOG=1" } == heard.count - 1 && heard.count >= 5, "\(heard)")
    run.killCoordinator()
    #expect(Self.next(number) { $0.hasPrefix("STATUS=disconnected, trying again: ") })
    worker.terminate()
    #expect(Self.next(number) { $0 == "STOPPING=1\nSTATUS=handing over" })
    try worker.ended("the end of a worker that was asked to end")
    #expect(worker.terminationStatus == 0, "\(run.log)")
  }

  /// `nil` when nothing came in time.
  private static func message(_ number: CInt) -> String? {
    let text = hear(number)
    return text.isEmpty ? nil : text
  }

  /// Whether such a message comes, whatever else is said before.
  private static func next(_ number: CInt, _ isIt: (String) -> Bool) -> Bool {
    for _ in 0..<100 {
      guard let text = message(number) else { return false }
      if isIt(text) { return true }
    }
    return false
  }
}
