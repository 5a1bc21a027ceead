import CSystem
import Glibc

/// Clocks and random bytes of this machine.
package enum SystemClock {
  /// Milliseconds of a clock that never jumps and goes on while the machine sleeps.
  package static var monotonicMilliseconds: Int64 { milliseconds(of: CLOCK_BOOTTIME) }

  /// Milliseconds since 1970.
  package static var wallMilliseconds: Int64 { milliseconds(of: CLOCK_REALTIME) }

  /// Seconds, with a fraction, of the monotonic clock.
  package static var seconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Whether something keeps this machine's clock right, such as a time service; `nil` where the
  /// kernel does not say.
  package static var isKept: Bool? {
    // Larger than the structure, whose zeros ask for nothing to be set.
    var state = [UInt64](repeating: 0, count: 64)
    let answer = adjtimex(&state)
    return answer < 0 ? nil : answer != notKept
  }

  /// `TIME_ERROR`
  private static let notKept: CInt = 5

  /// Rests this thread.
  package static func sleep(seconds: Double) {
    usleep(useconds_t(seconds * 1e6))
  }

  private static func milliseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

package enum SystemRandom {
  /// Bytes from the kernel's generator, fit for keys.
  ///
  /// - Precondition: at most 256 bytes, which the kernel gives whole or not at all.
  package static func bytes(count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    precondition(getentropy(&bytes, count) == 0, "the kernel gave no random bytes")
    return bytes
  }
}
