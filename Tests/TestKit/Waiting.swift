import Foundation
import Testing

/// What a test waited for in vain.
package struct NeverCame: Error, CustomStringConvertible {
  package let description: String
}

/// Waits until something holds, looking again and again.
///
/// - Parameters:
///   - what: What is awaited, for whoever reads the failure.
///   - quiet: Seconds that it takes on a quiet machine, at most.
///   - seen: What is there instead; asked when time is up.
/// - Throws: `NeverCame` when it does not come about; what `condition` throws.
package func waitUntil(
  _ what: String, quiet: Double = 6, seen: @autoclosure () throws -> Any = "nothing more is known",
  _ condition: () throws -> Bool
) throws {
  _ = try awaited(what, quiet: quiet, seen: try seen()) { try condition() ? true : nil }
}

/// The same for something that comes with a value.
package func awaited<Value>(
  _ what: String, quiet: Double = 6, seen: @autoclosure () throws -> Any = "nothing more is known",
  _ look: () throws -> Value?
) throws -> Value {
  let patience = Pace.patience(quiet: quiet)
  let deadline = Date(timeIntervalSinceNow: patience)
  while true {
    if let value = try look() { return value }
    guard Date() < deadline else {
      throw NeverCame(
        description: "\(what): not within \(Int(patience)) s; there is \(try seen())")
    }
    usleep(20_000)
  }
}

extension Process {
  /// Waits until the process has ended.
  ///
  /// - Throws: `NeverCame`, after killing it.
  package func ended(_ what: String, quiet: Double = 6) throws {
    do {
      try waitUntil(what, quiet: quiet, seen: "process \(processIdentifier)") { !isRunning }
    } catch {
      kill(processIdentifier, SIGKILL)
      throw error
    }
  }

  /// Looks at something while the process stands still, and leaves it so once it holds.
  ///
  /// Whatever the process is in the middle of then stays in the middle, however slow the looking
  /// is; `SIGCONT` lets it go on.
  package func hold(
    _ what: String, quiet: Double = 6,
    seen: @autoclosure () throws -> Any = "nothing more is known",
    when condition: () throws -> Bool
  ) throws {
    try waitUntil(what, quiet: quiet, seen: try seen()) {
      guard isRunning else {
        throw NeverCame(description: "\(what): the process has ended; there is \(try seen())")
      }
      kill(processIdentifier, SIGSTOP)
      if try condition() { return true }
      kill(processIdentifier, SIGCONT)
      return false
    }
  }
}
