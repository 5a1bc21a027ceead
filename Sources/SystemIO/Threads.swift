import Foundation
import Glibc

/// Threads of our own for blocking calls and long arithmetic.
///
/// Swift's cooperative pool has one thread a core, so two blocking calls would stop every task.
package enum BackgroundThread {
  /// - Parameter givesWay: Whether everything else on the machine goes first where cores are
  ///   scarce.
  package static func start(
    _ name: String, givesWay: Bool = false, _ body: @escaping @Sendable () -> Void
  ) {
    let thread = Thread {
      // Of this thread alone, as Linux counts. Refused or not, the work is the same.
      if givesWay { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) }
      body()
    }
    thread.name = name
    thread.stackSize = 4 << 20
    thread.start()
  }
}

/// A queue between threads with a limit: `put` refuses rather than grow past it.
package final class Mailbox<Element: Sendable>: @unchecked Sendable {
  // `condition` guards the other fields.
  private let condition = NSCondition()
  private var elements: [Element] = []
  private var isClosed = false
  private let limit: Int

  package init(limit: Int) {
    self.limit = limit
  }

  package var count: Int { condition.withLock { elements.count } }

  /// Adds an element; `false` if the queue is full or closed.
  @discardableResult
  package func put(_ element: Element) -> Bool {
    condition.withLock {
      guard !isClosed, elements.count < limit else { return false }
      elements.append(element)
      condition.signal()
      return true
    }
  }

  /// Waits for at least one element and takes all; empty once the queue is closed and drained.
  package func takeAll() -> [Element] {
    condition.withLock {
      while elements.isEmpty, !isClosed { condition.wait() }
      defer { elements = [] }
      return elements
    }
  }

  /// Takes what is there without waiting.
  package func takeAllNow() -> [Element] {
    condition.withLock {
      defer { elements = [] }
      return elements
    }
  }

  /// Waits for an element; `nil` once the queue is closed and drained.
  package func take() -> Element? {
    condition.withLock {
      while elements.isEmpty, !isClosed { condition.wait() }
      return elements.isEmpty ? nil : elements.removeFirst()
    }
  }

  package func close() {
    condition.withLock {
      isClosed = true
      condition.broadcast()
    }
  }
}

/// A value that another thread will deliver once.
package final class Promise<Value: Sendable>: @unchecked Sendable {
  // `condition` guards `value`.
  private let condition = NSCondition()
  private var value: Value?

  package init() {}

  /// Delivers; only the first delivery counts.
  package func fulfil(_ value: Value) {
    condition.withLock {
      if self.value == nil { self.value = value }
      condition.broadcast()
    }
  }

  package func wait() -> Value {
    condition.withLock {
      while value == nil { condition.wait() }
      return value!
    }
  }

  /// Waits no longer than so many seconds; `nil` if nothing came.
  package func wait(seconds: Double) -> Value? {
    let deadline = Date(timeIntervalSinceNow: seconds)
    return condition.withLock {
      while value == nil, condition.wait(until: deadline) {}
      return value
    }
  }
}

/// A value that threads take turns to change.
package final class Guarded<Value: Sendable>: @unchecked Sendable {
  // `lock` guards `value`.
  private let lock = NSLock()
  private var value: Value

  package init(_ value: Value) {
    self.value = value
  }

  package func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    try lock.withLock { try body(&value) }
  }

  /// Does it only if no other thread has the value now; `nil` otherwise.
  package func withLockIfFree<Result>(_ body: (inout Value) -> Result) -> Result? {
    guard lock.try() else { return nil }
    defer { lock.unlock() }
    return body(&value)
  }
}
