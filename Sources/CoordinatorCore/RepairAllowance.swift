/// How much repairs may still read, where a run limits it: slices an hour, an hour's worth at once.
///
/// What is spent is kept as the moment by which it will have been paid for. It is not durable:
/// after a start an hour's worth may be spent again.
package struct RepairAllowance: Equatable, Sendable {
  /// `nil` without a limit.
  private let slicesPerHour: Int?
  private var paidAt: Milliseconds?
  /// Set once all is spent; it opens again with a minute's worth, so that whoever waits is not
  /// woken for every slice.
  private var opensAt: Milliseconds?

  private static let hour: Milliseconds = 3_600_000
  private static let minute: Milliseconds = 60_000

  init(slicesPerHour: Int?) {
    self.slicesPerHour = slicesPerHour
  }

  /// When repairs may go on; `nil` while they may.
  ///
  /// - Parameter now: on the monotonic clock, as everywhere here.
  package func closedUntil(at now: Milliseconds) -> Milliseconds? {
    opensAt.flatMap { $0 > now ? $0 : nil }
  }

  /// Slices that may be read at once; `nil` without a limit.
  package func slicesLeft(at now: Milliseconds) -> Int? {
    slicesPerHour.map { limit in
      let credit = min(max(now - (paidAt ?? now - Self.hour), 0), Self.hour)
      return Int(credit) * limit / Int(Self.hour)
    }
  }

  /// A repair begins; it may cost more than is left.
  mutating func charge(slices: Int, at now: Milliseconds) {
    guard let slicesPerHour else { return }
    let start = max(paidAt ?? .min, now - Self.hour)
    let paidAt = start + Int64(slices) * Self.hour / Int64(slicesPerHour)
    self.paidAt = paidAt
    opensAt = paidAt >= now ? paidAt + Self.minute : nil
  }
}
