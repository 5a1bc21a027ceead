import Glibc

/// Something that a `PollSet` can wait for.
package protocol Polled {
  /// The descriptor; whoever owns it keeps it open while it is in a set.
  var polledNumber: CInt { get }
}

/// Descriptors that one thread waits for together, by poll(2).
package struct PollSet {
  private var entries: [pollfd] = []

  package init() {}

  package var count: Int { entries.count }

  /// Adds one that is waited for until there is something to read.
  package mutating func append(_ polled: some Polled) {
    entries.append(pollfd(fd: polled.polledNumber, events: Int16(POLLIN), revents: 0))
  }

  /// Says what one is waited for; a failure is always noticed.
  package mutating func setInterest(_ index: Int, reading: Bool, writing: Bool) {
    entries[index].events = Int16((reading ? POLLIN : 0) | (writing ? POLLOUT : 0))
  }

  /// Removes one; the last takes its index.
  package mutating func swapRemove(_ index: Int) {
    entries.swapAt(index, entries.count - 1)
    entries.removeLast()
  }

  /// Waits until one is ready or the time is over.
  package mutating func wait(milliseconds: Int) {
    for index in entries.indices { entries[index].revents = 0 }
    // Interrupted is as good as too early.
    _ = poll(&entries, nfds_t(entries.count), CInt(milliseconds))
  }

  /// Something is to be done for it.
  package func isReady(_ index: Int) -> Bool { entries[index].revents != 0 }

  package func canRead(_ index: Int) -> Bool { entries[index].revents & Int16(POLLIN) != 0 }

  package func canWrite(_ index: Int) -> Bool { entries[index].revents & Int16(POLLOUT) != 0 }

  /// The connection is broken or ended by both sides.
  package func hasFailed(_ index: Int) -> Bool {
    entries[index].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
  }
}

/// Ends another thread's wait in a `PollSet`.
package final class WakeUp: Sendable, Polled {
  private let reading: OwnedDescriptor
  private let writing: OwnedDescriptor

  package init() throws(SystemCallError) {
    var numbers: [CInt] = [0, 0]
    guard pipe(&numbers) == 0 else { throw SystemCallError("pipe", "wake-up") }
    (reading, writing) = (OwnedDescriptor(numbers[0]), OwnedDescriptor(numbers[1]))
    for number in numbers {
      _ = fcntl(number, F_SETFD, FD_CLOEXEC)
      _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
    }
  }

  package var polledNumber: CInt { reading.number }

  /// Wakes the thread, now or when it next waits.
  package func wake() {
    var byte: UInt8 = 0
    // A full pipe wakes as well as a fuller one.
    _ = write(writing.number, &byte, 1)
  }

  /// Forgets all calls so far.
  package func clear() {
    var bytes = [UInt8](repeating: 0, count: 256)
    while read(reading.number, &bytes, bytes.count) == bytes.count {}
  }
}
