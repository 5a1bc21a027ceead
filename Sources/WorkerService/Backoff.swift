/// Pauses between attempts to connect: doubling, and spread so that a fleet does not come back as
/// one.
package struct Backoff: Sendable {
  private var attempts = 0

  package static let shortestSeconds = 0.2
  package static let longestSeconds = 15.0

  package init() {}

  /// The seconds to rest: from half the pause that is due to all of it.
  package mutating func next(jitter: UInt8) -> Double {
    var pause = Self.shortestSeconds
    for _ in 0..<attempts { pause *= 2 }
    if pause < Self.longestSeconds { attempts += 1 }
    return min(pause, Self.longestSeconds) * (0.5 + Double(jitter) / 510)
  }
}
