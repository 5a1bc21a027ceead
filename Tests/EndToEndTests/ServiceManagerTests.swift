import Foundation
import Glibc
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
    var timeout = timeval(tv_sec: 30, tv_usec: 0)
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
}
