import Foundation

/// Times as people and other systems read them.
package enum Timestamp {
  /// RFC 3339 in UTC with milliseconds.
  package static func text(_ milliseconds: Int64) -> String {
    // The format cuts digits off, and a thousandth may lie a hair below itself in binary.
    Date(timeIntervalSince1970: (Double(milliseconds) + 0.25) / 1000).formatted(
      Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }
}
