import CommandLineKit

/// Several measurements of one thing, by rank.
struct Spread: Encodable {
  var lowest: Double
  var percentile10: Double
  var median: Double
  var percentile90: Double
  var percentile99: Double
  var highest: Double

  /// Zeros if nothing was measured.
  init(_ values: [Double]) {
    let sorted = values.sorted()
    func at(_ share: Double) -> Double {
      sorted.isEmpty ? 0 : sorted[Int((share * Double(sorted.count - 1)).rounded())]
    }
    (lowest, percentile10, median) = (at(0), at(0.1), at(0.5))
    (percentile90, percentile99, highest) = (at(0.9), at(0.99), at(1))
  }

  init(millisecondsOf seconds: [Double]) { self.init(seconds.map { 1000 * $0 }) }

  /// All values: "1.0 to 3.5".
  func range(digits: Int) -> String {
    Humanized.fixed(lowest, digits: digits) + " to " + Humanized.fixed(highest, digits: digits)
  }

  /// The median and the range of most: "2 (1..3)".
  func mostly(digits: Int) -> String {
    let numbers = [median, percentile10, percentile90].map { Humanized.fixed($0, digits: digits) }
    return "\(numbers[0]) (\(numbers[1])..\(numbers[2]))"
  }
}
