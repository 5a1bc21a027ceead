internal import CommandLineKit

/// One direction of a plot: which numbers it spans, where its ticks are and what they say.
package struct Axis: Sendable {
  /// What is measured, with its unit.
  package let label: String
  package let range: ClosedRange<Double>
  package let isLogarithmic: Bool
  /// Numbers with a tick, ascending.
  package let ticks: [Double]
  private let format: @Sendable (Double) -> String

  /// - Parameters:
  ///   - values: what has to fit; values that are not finite are left out, and so are those below
  ///     or at zero where the axis is logarithmic.
  ///   - fromZero: whether zero has to fit too.
  ///   - isWhole: whether there is nothing between whole numbers, as where things are counted.
  package init(
    _ label: String, _ values: [Double], fromZero: Bool = false, isWhole: Bool = false,
    isLogarithmic: Bool = false
  ) {
    self.label = label
    self.isLogarithmic = isLogarithmic
    let usable = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    let low = usable.min() ?? (isLogarithmic ? 1 : 0)
    let high = usable.max() ?? (isLogarithmic ? 10 : 1)
    if isLogarithmic {
      let from = Self.decade(low, roundingUp: false)
      var to = Self.decade(high, roundingUp: true)
      if to <= from { to = from * 10 }
      range = from...to
      var ticks: [Double] = []
      var tick = from
      while tick <= to * 1.000001 {
        ticks.append(tick)
        tick *= 10
      }
      self.ticks = ticks
      format = Self.plain(step: nil)
    } else {
      let start = fromZero ? min(0, low) : low
      // Of a single number, a fifth of it; of none, or of things counted, one.
      let end = high > start ? high : start + (isWhole || start == 0 ? 1 : abs(start) / 5)
      let step = max(Self.step((end - start) / 5), isWhole ? 1 : 0)
      let (first, last) = (
        (start / step).rounded(.down) * step, (end / step - 1e-9).rounded(.up) * step
      )
      range = first...last
      ticks = (0...Int(((last - first) / step).rounded())).map { first + Double($0) * step }
      format = Self.plain(step: step)
    }
  }

  package func text(_ value: Double) -> String { format(value) }

  /// Where a value lies, 0 at the start of the range and 1 at its end.
  func position(_ value: Double) -> Double {
    let (low, high) = (scaled(range.lowerBound), scaled(range.upperBound))
    return min(max((scaled(value) - low) / (high - low), 0), 1)
  }

  private func scaled(_ value: Double) -> Double {
    isLogarithmic ? Self.decimalLogarithm(max(value, range.lowerBound)) : value
  }

  /// The next of 1, 2 and 5 times a power of ten.
  private static func step(_ least: Double) -> Double {
    let power = decade(least, roundingUp: false)
    return ([1, 2, 5, 10].first { $0 * power >= least * 0.999999 } ?? 10) * power
  }

  private static func decade(_ value: Double, roundingUp: Bool) -> Double {
    var power = 1.0
    while power > value * 1.0000001 { power /= 10 }
    while power * 10 <= value * 1.0000001 { power *= 10 }
    return roundingUp && power < value * 0.9999999 ? power * 10 : power
  }

  /// Exact enough to place a mark: the power of two and a series for the rest.
  private static func decimalLogarithm(_ value: Double) -> Double {
    let ratio = (value.significand - 1) / (value.significand + 1)
    var (sum, power) = (0.0, ratio)
    for term in stride(from: 1, through: 41, by: 2) {
      sum += power / Double(term)
      power *= ratio * ratio
    }
    return (2 * sum + Double(value.exponent) * 0.6931471805599453) / 2.302585092994046
  }

  private static func plain(step: Double?) -> @Sendable (Double) -> String {
    { value in
      let size = step ?? abs(value)
      if size >= 1 {
        return value.magnitude < 1e15 ? Humanized.count(Int(value.rounded())) : "\(value)"
      }
      var (digits, unit) = (0, 1.0)
      while unit > size * 1.0000001, digits < 9 {
        digits += 1
        unit /= 10
      }
      return Humanized.fixed(value, digits: digits)
    }
  }
}
