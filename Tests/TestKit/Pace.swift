import Foundation

/// How fast the machine is that the tests run on, and how patient they are with it.
package enum Pace {
  /// The sanitizer that `ops/test --sanitize` built everything with; `nil` in an ordinary build.
  package static let sanitizer = ProcessInfo.processInfo.environment["LETHE_SANITIZER"]

  /// How many times slower this machine is than a quiet one, at least 1.
  ///
  /// `ops/test` measures it once, with `ops/support/waiting.py`, and hands it on in `LETHE_PACE`;
  /// whoever starts `swift test` alone has it measured here. Sanitizers cost ten times more.
  package static let factor: Double = {
    let given = ProcessInfo.processInfo.environment["LETHE_PACE"].flatMap(Double.init)
    let measured = given ?? measure() ?? unmeasured
    return max(measured, 1) * (sanitizer == nil ? 1 : 10)
  }()

  /// Where there is no Python to measure with.
  private static let unmeasured = 5.0

  /// Seconds to wait for what takes `quiet` seconds on a quiet machine.
  ///
  /// Whoever waits in vain waits long, so this is for what comes unless something is broken.
  package static func patience(quiet: Double) -> Double { max(60, 10 * quiet) * factor }

  private static func measure() -> Double? {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "python3",
      URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("ops/support/waiting.py").path,
    ]
    process.standardOutput = output
    guard (try? process.run()) != nil else { return nil }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Double(text.trimmingCharacters(in: .whitespacesAndNewlines))
  }
}
