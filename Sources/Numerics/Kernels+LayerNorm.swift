extension Kernels {
  /// Normalises each row: `out = (x − mean) · rstd · gain + bias`.
  ///
  /// | name | shape | meaning |
  /// |-|-|-|
  /// | `x`, `out` | (rowCount, width) | row-major; `out` may be `x` |
  /// | `gain`, `bias` | (width) | the layer's parameters |
  /// | `statistics` | (rowCount, 2) | mean and 1/√(variance + epsilon), kept for the backward pass
  /// |
  package static func layerNorm(
    _ out: Output, _ x: Input, gain: Input, bias: Input, statistics: Output, rowCount: Int,
    width: Int, epsilon: Float
  ) {
    let inverseWidth = 1 / Float(width)
    let whole = width & ~15
    for row in 0..<rowCount {
      let source = x + row * width
      let target = out + row * width
      var lanes = Lanes.zero
      var index = 0
      while index < whole {
        lanes += load(source, index)
        index += 16
      }
      var total = sum(lanes)
      while index < width {
        total += source[index]
        index += 1
      }
      let mean = total * inverseWidth
      lanes = .zero
      index = 0
      while index < whole {
        let centred = load(source, index) - mean
        lanes += centred * centred
        index += 16
      }
      var squares = sum(lanes)
      while index < width {
        let centred = source[index] - mean
        squares += centred * centred
        index += 1
      }
      let inverse = 1 / (squares * inverseWidth + epsilon).squareRoot()
      statistics[2 * row] = mean
      statistics[2 * row + 1] = inverse
      // In lanes by hand here and below: where source and target are one, a plain loop would
      // fail the compiler's check for overlap and run one element at a time.
      index = 0
      while index < whole {
        let normal = (load(source, index) - mean) * inverse
        store(normal * load(gain, index) + load(bias, index), target, index)
        index += 16
      }
      while index < width {
        target[index] = (source[index] - mean) * inverse * gain[index] + bias[index]
        index += 1
      }
    }
  }

  /// The gradient of `layerNorm` with respect to its input; the parameters are frozen.
  ///
  /// `dx = rstd · (g − mean(g) − x̂ · mean(g · x̂))` with `g = dy · gain`, row by row. `dx` may be
  /// `dy`.
  package static func layerNormGradient(
    _ dx: Output, dy: Input, x: Input, gain: Input, statistics: Input, rowCount: Int, width: Int
  ) {
    let inverseWidth = 1 / Float(width)
    let whole = width & ~15
    for row in 0..<rowCount {
      let source = x + row * width
      let gradient = dy + row * width
      let target = dx + row * width
      let mean = statistics[2 * row]
      let inverse = statistics[2 * row + 1]
      var plain = Lanes.zero
      var weighted = Lanes.zero
      var index = 0
      while index < whole {
        let scaled = load(gradient, index) * load(gain, index)
        plain += scaled
        weighted += scaled * (load(source, index) - mean)
        index += 16
      }
      var plainSum = sum(plain)
      var weightedSum = sum(weighted)
      while index < width {
        let scaled = gradient[index] * gain[index]
        plainSum += scaled
        weightedSum += scaled * (source[index] - mean)
        index += 1
      }
      let offset = plainSum * inverseWidth
      let slope = weightedSum * inverse * inverse * inverseWidth
      index = 0
      while index < whole {
        let scaled = load(gradient, index) * load(gain, index)
        let centred = load(source, index) - mean
        store(inverse * (scaled - offset - centred * slope), target, index)
        index += 16
      }
      while index < width {
        let scaled = gradient[index] * gain[index]
        target[index] = inverse * (scaled - offset - (source[index] - mean) * slope)
        index += 1
      }
    }
  }
}
