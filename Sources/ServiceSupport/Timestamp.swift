import Ledger

/// Times as people and other systems read them.
package enum Timestamp {
  /// RFC 3339 in UTC with milliseconds.
  package static func text(_ milliseconds: Int64) -> String {
    RFC3339.text(milliseconds: milliseconds)
  }
}
