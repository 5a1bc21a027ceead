extension Kernels {
  /// Φ(x) and e^(−x²/2), from which GELU and its slope follow.
  ///
  /// - SeeAlso: Abramowitz and Stegun, formula 7.1.26, absolute error below 1.5e-7.
  @inline(__always)
  private static func normalDistribution(_ x: Float) -> (cumulative: Float, bell: Float) {
    let bell = Elementary.exp(x * x * -0.5)
    let size = x < 0 ? -x : x
    let t = 1 / (1 + size * (0.327_591_1 * 0.707_106_78))
    var series: Float = 1.061_405_43
    series = series * t - 1.453_152_03
    series = series * t + 1.421_413_74
    series = series * t - 0.284_496_74
    series = series * t + 0.254_829_59
    let tail = 0.5 * (series * t) * bell
    return (x < 0 ? tail : 1 - tail, bell)
  }

  /// `x = x · Φ(x)`, the Gaussian error linear unit in its exact (erf) form.
  ///
  /// In place through one pointer: with two, the loop's vector form is only taken after a check
  /// that they do not overlap, which equal ones never pass.
  package static func gelu(_ x: Output, count: Int) {
    for index in 0..<count {
      let value = x[index]
      x[index] = value * normalDistribution(value).cumulative
    }
  }

  /// `out = gelu(x)`, and `x` is replaced by the slope there, which the backward pass multiplies
  /// with.
  ///
  /// Both come from one exponential, so the slope costs almost nothing here.
  package static func geluKeepingSlope(_ out: Output, _ x: Output, count: Int) {
    for index in 0..<count {
      let value = x[index]
      let (cumulative, bell) = normalDistribution(value)
      out[index] = value * cumulative
      x[index] = cumulative + value * bell * 0.398_942_28
    }
  }
}
