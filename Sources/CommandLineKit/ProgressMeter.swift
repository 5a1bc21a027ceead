/// Decides when progress is worth showing and what the line says; a plain value with no clock.
///
/// On a terminal the line is redrawn at most ten times a second; elsewhere a whole line is written
/// every five seconds, so that a log stays readable. The rate is the mean since the start.
package struct ProgressMeter: Sendable {
  package static let redrawSeconds = 0.1
  package static let lineSeconds = 5.0

  private let label: String
  private let total: Int?
  private let unit: String
  /// Columns of the terminal; `nil` writes whole lines instead of redrawing one.
  private let terminalColumnCount: Int?
  private let startedAt: Double
  private let startedWith: Int
  private var completed: Int
  private var shownAt: Double?

  /// - Parameters:
  ///   - alreadyCompleted: units done by an earlier process; they count as done, not as speed.
  ///   - startedAt: seconds of any monotonic clock, the same as in every later call.
  package init(
    label: String, total: Int?, unit: String, columnCount: Int?, startedAt: Double,
    alreadyCompleted: Int = 0
  ) {
    self.label = label
    self.total = total
    self.unit = unit
    self.terminalColumnCount = columnCount
    self.startedAt = startedAt
    self.startedWith = alreadyCompleted
    self.completed = alreadyCompleted
    // The first bar appears at once, the first plain line only after its interval.
    self.shownAt = columnCount == nil ? startedAt : nil
  }

  package var completedCount: Int { completed }

  /// Notes progress; what to write now, or `nil` while the last line is recent enough.
  package mutating func update(completed: Int, at now: Double) -> String? {
    self.completed = completed
    let interval = terminalColumnCount == nil ? Self.lineSeconds : Self.redrawSeconds
    if let shownAt, now - shownAt < interval { return nil }
    shownAt = now
    return line(at: now)
  }

  /// The closing line, with the total time and the mean rate.
  package mutating func finish(at now: Double) -> String {
    shownAt = now
    let rate = rate(at: now).map { " (\(Humanized.rate($0)) \(unit)/s)" } ?? ""
    let elapsed = Humanized.duration(seconds: now - startedAt)
    return clear + "\(label): \(Humanized.count(completed)) \(unit) in \(elapsed)\(rate)\n"
  }

  /// What to write so that other text can follow on a line of its own.
  package var clear: String { terminalColumnCount == nil ? "" : "\r\u{1B}[K" }

  /// The current line as it stands, drawn whatever the interval.
  package func line(at now: Double) -> String {
    guard let terminalColumnCount else { return parts(at: now).joined(separator: "  ") + "\n" }
    // One column is left free: a full line makes some terminals wrap.
    return clear + fitted(parts(at: now), to: terminalColumnCount - 1)
  }

  /// The label, then what matters most first: a narrow terminal loses parts from the right.
  private func parts(at now: Double) -> [String] {
    var parts = [label]
    if let fraction {
      parts.append(padded("\(Int(fraction * 100))%", to: 4, alignment: .right))
      parts.append("\(Humanized.count(completed))/\(Humanized.count(total ?? 0)) \(unit)")
    } else {
      parts.append("\(Humanized.count(completed)) \(unit)")
    }
    if let rate = rate(at: now) {
      parts.append("\(Humanized.rate(rate)) \(unit)/s")
      if let total, total > completed, rate > 0 {
        parts.append("\(Humanized.duration(seconds: Double(total - completed) / rate)) left")
      }
    }
    return parts
  }

  private func fitted(_ parts: [String], to limit: Int) -> String {
    var kept = parts
    while kept.count > 1, columnCount(of: kept.joined(separator: "  ")) > limit {
      kept.removeLast()
    }
    let room = limit - columnCount(of: kept.joined(separator: "  ")) - 4
    if let fraction, room >= 10, kept.count == parts.count {
      let cells = min(room, 30)
      let filled = Int(fraction * Double(cells))
      let bar =
        String(repeating: "#", count: filled) + String(repeating: "-", count: cells - filled)
      kept.insert("[\(bar)]", at: 1)
    }
    let line = kept.joined(separator: "  ")
    return columnCount(of: line) > limit ? String(line.prefix(max(0, limit))) : line
  }

  /// Between 0 and 1, or `nil` when there is no total to measure against.
  private var fraction: Double? {
    guard let total, total > 0 else { return nil }
    return min(1, max(0, Double(completed) / Double(total)))
  }

  private func rate(at now: Double) -> Double? {
    let seconds = now - startedAt
    guard seconds > 0, completed > startedWith else { return nil }
    return Double(completed - startedWith) / seconds
  }
}
