import Foundation
import Testing

/// The client and the vectors' script, both in plain Python and from `Protocols/wire.md` alone.
@Suite("Wire: a stranger's client", .enabled(if: Stranger.isPresent, "SKIPPED: no python3 here"))
struct StrangerTests {
  @Test("agrees with the vectors")
  func client() throws {
    let result = try Stranger.run([
      "Tests/Conformance/lethe_client.py", "--self-test", "Protocols/vectors/wire.txt",
    ])
    #expect(result == 0)
  }

  @Test("the vectors are what the script makes")
  func script() throws {
    let made = FileManager.default.temporaryDirectory.appending(
      path: "wire-\(ProcessInfo.processInfo.processIdentifier).txt")
    defer { try? FileManager.default.removeItem(at: made) }
    #expect(try Stranger.run(["Tests/Reference/make_wire_vectors.py", made.path]) == 0)
    let kept = Stranger.root.appending(path: "Protocols/vectors/wire.txt")
    #expect(try Data(contentsOf: made) == Data(contentsOf: kept))
  }
}

private enum Stranger {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static let isPresent = (try? run(["--version"])) == 0

  static func run(_ arguments: [String]) throws -> Int32 {
    let python = Process()
    python.executableURL = URL(filePath: "/usr/bin/env")
    python.arguments = ["python3", "-B"] + arguments
    python.currentDirectoryURL = root
    python.standardOutput = FileHandle.nullDevice
    try python.run()
    python.waitUntilExit()
    return python.terminationStatus
  }
}
