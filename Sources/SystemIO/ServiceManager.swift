import Glibc

/// The service manager that started this process and wants to hear how it is doing.
///
/// - SeeAlso: sd_notify(3), for the messages and for `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
///   `WATCHDOG_PID`.
package struct ServiceManager: Sendable {
  private let path: String
  /// Silence for longer than this ends the process; `nil` if nobody watches.
  private let watchdogSeconds: Double?
  /// When the watchdog was last fed.
  private let fed = Guarded(-Double.infinity)

  /// - Returns: `nil` where nobody asked to be told, as on a terminal.
  package init?(environment: [String: String]) {
    guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@"),
      path.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    else { return nil }
    self.path = path
    let isWatched =
      environment["WATCHDOG_PID"].map { $0 == "\(SystemProcess.identifier)" } ?? true
    watchdogSeconds =
      isWatched
      ? environment["WATCHDOG_USEC"].flatMap(Double.init).map { $0 / 1_000_000 } : nil
  }

  /// Tells the watchdog that the caller's loop turns: only from the loop that does the work, and
  /// several times in `watchdogSeconds`; most calls say nothing.
  package func feedWatchdog() {
    guard let watchdogSeconds else { return }
    let now = SystemClock.seconds
    let isDue = fed.withLock { fed in
      guard now - fed > watchdogSeconds / 3 else { return false }
      fed = now
      return true
    }
    if isDue { say("WATCHDOG=1") }
  }

  /// Sends `READY=1`, `WATCHDOG=1`, `STATUS=…` or lines of them. What cannot be sent is let go: a
  /// manager that is not there is no reason to stop.
  package func say(_ message: String) {
    let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
    guard number >= 0 else { return }
    let descriptor = OwnedDescriptor(number)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { name in
      name.copyBytes(from: bytes)
      // A leading @ stands for the zero byte of the abstract namespace.
      if bytes[0] == UInt8(ascii: "@") { name[0] = 0 }
    }
    let length = MemoryLayout<sa_family_t>.size + bytes.count
    _ = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        Array(message.utf8).withUnsafeBytes {
          sendto(
            descriptor.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL), address,
            socklen_t(length))
        }
      }
    }
  }
}
