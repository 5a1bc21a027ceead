import Foundation

/// Times as people and other systems read them.
package enum Timestamp {
  /// RFC 3339 in UTC with milliseconds.
  package static func text(_ milliseconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(
      Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }
}
