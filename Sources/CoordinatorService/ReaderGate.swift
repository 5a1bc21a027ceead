import Foundation

/// Knows who is reading, so that a purge can wait for those who began before it.
final class ReaderGate: @unchecked Sendable {
  // `condition` guards the other fields.
  private let condition = NSCondition()
  private var lastTicket: UInt64 = 0
  private var current: Set<UInt64> = []

  func reading<Value>(_ body: () throws -> Value) rethrows -> Value {
    let ticket = condition.withLock {
      lastTicket += 1
      current.insert(lastTicket)
      return lastTicket
    }
    defer {
      condition.withLock {
        current.remove(ticket)
        condition.broadcast()
      }
    }
    return try body()
  }

  /// Returns once everybody who is reading now has ended.
  func waitForCurrent() {
    condition.withLock {
      let last = lastTicket
      while current.contains(where: { $0 <= last }) { condition.wait() }
    }
  }
}
