import ByteCoding
import ModelFormats
import SystemIO

/// Lines for operators on standard error; never ids, texts or labels.
package struct Log: Sendable {
  /// How lines look.
  package enum Format: Sendable {
    /// One JSON object a line.
    case json
    /// Text for people; `paint` may put a level's word into a terminal's colour.
    case text(paint: @Sendable (String, LogLevel) -> String)

    package static let plain = Format.text { text, _ in text }
  }

  /// What a line can say besides its message.
  package enum Field: String, CaseIterable, Sendable {
    case deletion, records, blocks, block, shard, sequence, stage, slice, worker, attempt
    case durationMilliseconds = "dur_ms"
    case error = "err"
  }

  package enum Value: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case text(String)
    case number(Int)

    package init(stringLiteral text: String) { self = .text(text) }
    package init(integerLiteral number: Int) { self = .number(number) }
    package init(_ number: some BinaryInteger) { self = .number(Int(clamping: number)) }
    /// A duration in milliseconds; a worker may claim one that is no number.
    package init(seconds: Double) {
      let milliseconds = (seconds * 1000).rounded()
      self = Int(exactly: milliseconds).map(Self.number) ?? .text("\(milliseconds)")
    }
    package init(_ error: any Error) { self = .text("\(error)") }
  }

  private let component: String
  private let format: Format
  private let leastLevel: LogLevel

  package init(component: String, format: Format = .plain, level: LogLevel = .info) {
    self.component = component
    self.format = format
    leastLevel = level
  }

  /// Writes one line, if its level is wanted.
  ///
  /// - Parameter message: What a person should know of it; the event's meaning if not given.
  package func write(
    _ event: LogEvent, _ message: String? = nil, _ fields: [Field: Value] = [:]
  ) {
    guard event.level >= leastLevel else { return }
    SystemProcess.writeError(line(event, message, fields, at: SystemClock.wallMilliseconds))
  }

  /// The line, without its end.
  package func line(
    _ event: LogEvent, _ message: String? = nil, _ fields: [Field: Value] = [:],
    at milliseconds: Int64
  ) -> String {
    let time = Timestamp.text(milliseconds)
    let message = message ?? event.meaning
    // Always in one order, as a dictionary's changes with every run.
    let fields = Field.allCases.compactMap { field in fields[field].map { (field, $0) } }
    switch format {
    case .json:
      let head = [
        ("ts", time), ("level", event.level.rawValue), ("component", component),
        ("event", event.rawValue), ("msg", message),
      ].map { (name: $0.0, value: JSON.string($0.1)) }
      let rest = fields.map { (name: $0.0.rawValue, value: $0.1.json) }
      return String(decoding: JSON.object(head + rest).compactBytes, as: UTF8.self)
    case .text(let paint):
      let words = fields.map { " \($0.0.rawValue)=\($0.1.text)" }.joined()
      let level = paint(event.level.rawValue, event.level)
      return "\(time) \(level) \(component) \(event.rawValue): \(Self.oneLine(message))"
        + Self.oneLine(words)
    }
  }

  /// A peer's words must not begin a line of their own, nor move the cursor.
  private static func oneLine(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: \.isUnfitToShow) else { return text }
    var line = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      line.append(scalar.isUnfitToShow ? " " : scalar)
    }
    return String(line)
  }
}

extension Log.Value {
  fileprivate var json: JSON {
    switch self {
    case .text(let text): .string(text)
    case .number(let number): .number("\(number)")
    }
  }

  fileprivate var text: String {
    switch self {
    case .text(let text): text.contains(" ") ? "\"\(text)\"" : text
    case .number(let number): "\(number)"
    }
  }
}
