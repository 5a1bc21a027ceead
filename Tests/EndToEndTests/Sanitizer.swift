import Foundation

/// The sanitizer that `ops/test --sanitize` built these tests and the executable with, if any.
enum Sanitizer {
  /// `thread` or `address`; `nil` in an ordinary build.
  static let name = ProcessInfo.processInfo.environment["LETHE_SANITIZER"]

  static var isOn: Bool { name != nil }

  /// How many seconds to wait for what ends sooner in an ordinary build.
  static func patience(seconds: Int) -> Int { isOn ? seconds * 10 : seconds }
}
