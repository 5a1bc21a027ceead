/// Metrics as Prometheus reads them.
///
/// - SeeAlso: Prometheus, Exposition formats, text-based format 0.0.4.
package struct Exposition: Sendable {
  package enum Kind: String, Sendable { case counter, gauge, histogram }

  /// What a reply has to say it is.
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  package private(set) var text = ""

  package init() {}

  /// One family of series that differ by one label.
  package mutating func add(
    _ name: String, _ kind: Kind, _ help: String, by label: String,
    _ series: [(value: String, number: Double)]
  ) {
    begin(name, kind, help)
    for (value, number) in series {
      text += "\(name){\(label)=\"\(Self.escaped(value))\"} \(Self.text(number))\n"
    }
  }

  package mutating func add(_ name: String, _ kind: Kind, _ help: String, _ number: Double) {
    begin(name, kind, help)
    text += "\(name) \(Self.text(number))\n"
  }

  /// One histogram for every value of a label.
  package mutating func add(
    _ name: String, _ help: String, by label: String, _ series: [(value: String, Histogram)]
  ) {
    begin(name, .histogram, help)
    for (value, histogram) in series {
      add(name, histogram, "\(label)=\"\(Self.escaped(value))\"")
    }
  }

  package mutating func add(_ name: String, _ help: String, _ histogram: Histogram) {
    begin(name, .histogram, help)
    add(name, histogram, nil)
  }

  private mutating func add(_ name: String, _ histogram: Histogram, _ label: String?) {
    let lead = label.map { $0 + "," } ?? ""
    let common = label.map { "{\($0)}" } ?? ""
    for (bound, count) in zip(histogram.bounds, histogram.cumulativeCounts) {
      text += "\(name)_bucket{\(lead)le=\"\(Self.text(bound))\"} \(count)\n"
    }
    text += "\(name)_bucket{\(lead)le=\"+Inf\"} \(histogram.count)\n"
    text += "\(name)_sum\(common) \(Self.text(histogram.sum))\n"
    text += "\(name)_count\(common) \(histogram.count)\n"
  }

  private mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  private static func text(_ number: Double) -> String {
    number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
  }

  private static func escaped(_ value: String) -> String {
    var result = ""
    for character in value.unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}

/// How long things took, counted by fixed bounds in seconds.
package struct Histogram: Equatable, Sendable {
  /// For what people and programs wait for.
  package static let answerBounds = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30,
  ]
  /// For what takes its time: a second, a minute, an hour, a day, a month.
  package static let workBounds: [Double] = [
    1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 2_592_000,
  ]

  package let bounds: [Double]
  private var counts: [Int]
  package private(set) var count = 0
  package private(set) var sum = 0.0

  /// - Parameter bounds: Ascending.
  package init(bounds: [Double] = Histogram.answerBounds) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count)
  }

  package mutating func add(seconds: Double) {
    if let place = bounds.firstIndex(where: { seconds <= $0 }) { counts[place] += 1 }
    count += 1
    sum += seconds
  }

  /// Observations up to each bound.
  package var cumulativeCounts: [Int] {
    var sum = 0
    return counts.map { count in
      sum += count
      return sum
    }
  }
}
