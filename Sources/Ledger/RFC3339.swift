/// Times as RFC 3339 writes them, in UTC with milliseconds.
///
/// Whole numbers only: a time that passes through a floating-point number of seconds may come out
/// a millisecond early, and a receipt's times are compared to the letter.
package enum RFC3339 {
  /// For example `2026-01-01T00:00:00.123Z`.
  ///
  /// - Precondition: a time in years 1970 to 9999, as `LedgerEntry.times` has it.
  /// - SeeAlso: Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`.
  package static func text(milliseconds: Int64) -> String {
    precondition(LedgerEntry.times.contains(milliseconds), "a time from 1970 to 9999")
    let (days, time) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
    // Years begin on 1 March here, so that a leap day is the last day of its year.
    let shifted = days + 719_468
    let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let clock = [time / 3_600_000, time / 60_000 % 60, time / 1000 % 60].map { padded($0, 2) }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
      + "T\(clock.joined(separator: ":")).\(padded(time % 1000, 3))Z"
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
