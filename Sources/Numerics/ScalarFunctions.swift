/// Elementary functions made of `+ - * /` and bit patterns alone.
///
/// The C library's versions differ between releases and would be one more part of the numeric
/// class.
package enum Elementary {
  /// `eˣ` for single precision, within two units in the last place; saturates near ±87.
  ///
  /// Written so that a loop over it becomes vector code: no branch, no call, no conversion. Adding
  /// 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
  @inline(__always)
  package static func exp(_ x: Float) -> Float {
    let low: Float = -87
    let high: Float = 88
    let raised = x < low ? low : x
    let clamped = raised > high ? high : raised
    let magic: Float = 12_582_912
    let shifted = clamped * 1.442_695_04 + magic
    let whole = shifted - magic
    // ln 2 in two parts, the first exact in twelve bits, so the remainder keeps its precision.
    let rest = (clamped - whole * 0.693_359_375) - whole * -2.121_944_4e-4
    var series: Float = 1.987_569_15e-4
    series = series * rest + 1.398_199_95e-3
    series = series * rest + 8.333_451_9e-3
    series = series * rest + 4.166_579_6e-2
    series = series * rest + 1.666_666_55e-1
    series = series * rest + 5.000_000_1e-1
    let value = (series * rest) * rest + rest + 1
    let power = Float(bitPattern: (shifted.bitPattern &<< 23) &+ 0x3f80_0000)
    return value * power
  }

  /// `eˣ` for double precision, to about 1e-15; for the few numbers of a loss.
  package static func exp(_ x: Double) -> Double {
    let clamped = min(max(x, -700), 700)
    let whole = (clamped * 1.442_695_040_888_963_4).rounded()
    let rest = (clamped - whole * 0x1.62e42fee00000p-1) - whole * 0x1.a39ef35793c76p-33
    var term = 1.0
    var sum = 1.0
    for index in 1...14 {
      term *= rest / Double(index)
      sum += term
    }
    return sum * Double(sign: .plus, exponent: Int(whole), significand: 1)
  }

  /// The natural logarithm of a positive, normal number, to about 1e-15.
  package static func log(_ x: Double) -> Double {
    precondition(x > 0)
    var exponent = Double(x.exponent)
    var fraction = x.significand
    if fraction > 1.414_213_562_373_095_1 {
      fraction /= 2
      exponent += 1
    }
    // ln f = 2·artanh((f−1)/(f+1)), whose series converges fast for f near one.
    let ratio = (fraction - 1) / (fraction + 1)
    let square = ratio * ratio
    var sum = 0.0
    for odd in stride(from: 25, through: 1, by: -2) { sum = sum * square + 1 / Double(odd) }
    return exponent * 0.693_147_180_559_945_3 + 2 * ratio * sum
  }
}
