import CoordinatorCore
import Foundation

/// By when an accepted deletion has to be finished.
package enum DeadlinePolicy: Equatable, Sendable {
  /// One calendar month (GDPR, article 12(3)); the month's last day where it has no such day.
  case gdpr
  /// 45 days (California Civil Code, 1798.130).
  case ccpa
  case days(Int)

  /// Reads `gdpr`, `ccpa` or `days:N`.
  package init?(_ text: String) {
    switch text {
    case "gdpr": self = .gdpr
    case "ccpa": self = .ccpa
    default:
      // One spelling for each: the library's reader of numbers also takes signs and zeros.
      guard let days = Int(text.dropFirst(5)), (1...3650).contains(days), text == "days:\(days)"
      else { return nil }
      self = .days(days)
    }
  }

  /// The end of the last day, in UTC.
  package func due(acceptedAt: Milliseconds) -> Milliseconds {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    let accepted = Date(timeIntervalSince1970: Double(acceptedAt) / 1000)
    let (unit, count): (Calendar.Component, Int) =
      switch self {
      case .gdpr: (.month, 1)
      case .ccpa: (.day, 45)
      case .days(let days): (.day, days)
      }
    let day = calendar.startOfDay(
      for: calendar.date(byAdding: unit, value: count, to: accepted) ?? accepted)
    return Milliseconds(day.timeIntervalSince1970 * 1000) + 86_400_000 - 1
  }
}
