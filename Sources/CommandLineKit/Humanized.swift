import Foundation

/// Quantities as people read them. The form depends on nothing but the number, not on a locale.
package enum Humanized {
  /// `840 µs`, `12 ms`, `3.4 s`, `2 min 05 s`, `1 h 02 min`, `3 d 04 h`; `?` when not finite.
  package static func duration(seconds: Double) -> String {
    guard seconds.isFinite, abs(seconds) < 1e15 else { return "?" }
    guard seconds >= 0 else { return "-" + duration(seconds: -seconds) }
    switch seconds {
    case 0: return "0 s"
    case ..<0.0009995: return "\(Int((seconds * 1e6).rounded())) µs"
    case ..<0.9995: return "\(Int((seconds * 1e3).rounded())) ms"
    case ..<59.95: return fixed(seconds, digits: 1) + " s"
    case ..<3599.5:
      let whole = Int(seconds.rounded())
      return "\(whole / 60) min \(twoDigits(whole % 60)) s"
    case ..<86_370:
      let minutes = Int((seconds / 60).rounded())
      return "\(minutes / 60) h \(twoDigits(minutes % 60)) min"
    default:
      let hours = Int((seconds / 3600).rounded())
      return "\(hours / 24) d \(twoDigits(hours % 24)) h"
    }
  }

  /// `512 B`, `1.5 KiB`, `86.7 MiB`: steps of 1,024.
  package static func bytes(_ count: Int) -> String {
    guard count.magnitude >= 1024 else { return "\(count) B" }
    var value = Double(count)
    var unit = ""
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] where abs(value) >= 1023.95 || unit == ""
    {
      value /= 1024
      unit = next
    }
    return fixed(value, digits: 1) + " " + unit
  }

  /// `50,450`.
  package static func count(_ number: Int) -> String {
    var digits = String(number.magnitude)[...]
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.insert(digits.suffix(3), at: 0)
      digits = digits.dropLast(3)
    }
    return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
  }

  /// `1 record`, `2,000 records`; the plural is the singular and an s unless given.
  package static func count(_ number: Int, _ singular: String, plural: String? = nil) -> String {
    "\(count(number)) \(number == 1 ? singular : plural ?? singular + "s")"
  }

  /// `310`, `31.0`, `3.10`, `0.31` per second: three digits where there are fewer than a thousand.
  package static func rate(_ perSecond: Double) -> String {
    guard perSecond.isFinite, abs(perSecond) < 1e15 else { return "?" }
    return switch abs(perSecond) {
    case 99.95...: count(Int(perSecond.rounded()))
    case 9.995..<99.95: fixed(perSecond, digits: 1)
    default: fixed(perSecond, digits: 2)
    }
  }

  /// A decimal number with so many digits after the point, whatever the locale.
  package static func fixed(_ number: Double, digits: Int) -> String {
    String(format: "%.\(digits)f", locale: nil, number)
  }

  private static func twoDigits(_ number: Int) -> String {
    number < 10 ? "0\(number)" : "\(number)"
  }
}
