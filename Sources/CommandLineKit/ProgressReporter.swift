import Glibc
import Synchronization

/// A progress display any thread may feed; writes what its `ProgressMeter` decides.
package final class ProgressReporter: Sendable {
  private let meter: Mutex<ProgressMeter>
  private let sink: any OutputSink
  private let now: @Sendable () -> Double

  /// - Parameter now: seconds of the clock the meter was started with.
  package init(
    meter: ProgressMeter, sink: any OutputSink, now: @escaping @Sendable () -> Double
  ) {
    self.meter = Mutex(meter)
    self.sink = sink
    self.now = now
  }

  package func update(completed: Int) {
    meter.withLock { write($0.update(completed: completed, at: now())) }
  }

  package func advance(by count: Int = 1) {
    meter.withLock { write($0.update(completed: $0.completedCount + count, at: now())) }
  }

  /// Writes a line of its own, above the bar where there is one.
  package func note(_ text: String) {
    meter.withLock { meter in
      let isRedrawn = !meter.clear.isEmpty
      write(meter.clear + text + "\n" + (isRedrawn ? meter.line(at: now()) : ""))
    }
  }

  /// Replaces the bar by a closing line. Call it once, also when the work failed half-way.
  package func finish() {
    meter.withLock { write($0.finish(at: now())) }
  }

  /// Written under the lock, so that lines of two threads do not mix. A display that cannot be
  /// shown is no reason to stop the work it shows.
  private func write(_ text: String?) {
    if let text { try? sink.write(Array(text.utf8)) }
  }

  /// Seconds since some fixed moment, never going back.
  package static func monotonicSeconds() -> Double {
    var time = timespec()
    _ = clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
