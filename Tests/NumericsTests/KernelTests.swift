import Foundation
import Numerics
import Testing

@Suite("Kernels against plain double-precision versions")
struct KernelTests {
  /// Widths on both sides of the sixteen lanes.
  static let widths = [1, 2, 15, 16, 17, 32, 77, 384]

  @Test("exp stays within two units in the last place over its whole range")
  func exponential() {
    for step in -8700...8800 {
      let x = Float(step) / 100
      let expected = Foundation.exp(Double(x))
      #expect(abs(Double(Elementary.exp(x)) - expected) <= 2.5e-7 * expected)
    }
    #expect(Elementary.exp(Float(-1e30)) < 1e-37)
    #expect(Elementary.exp(Float(0)) == 1)
  }

  @Test("double exp and log agree with the library")
  func doubles() {
    for step in -600...600 {
      let x = Double(step) / 7
      let expected = Foundation.exp(x)
      #expect(abs(Elementary.exp(x) - expected) <= 4e-15 * expected)
      #expect(abs(Elementary.log(expected) - x) <= 4e-15 * max(1, abs(x)))
    }
  }

  @Test("element by element, to the bit", arguments: widths)
  func elements(width: Int) {
    let rows = 3
    let (x, y) = (randomBuffer(rows * width, seed: 1), randomBuffer(rows * width, seed: 2))
    let bias = randomBuffer(width, seed: 3)
    let wide = width + 5
    func check(_ what: String, _ out: FloatBuffer, expected: (Int) -> Float) {
      #expect(out.array == (0..<rows * width).map(expected), "\(what)")
    }
    let sum = FloatBuffer(count: rows * width)
    Kernels.addBias(
      sum.pointer, x.pointer, bias: bias.pointer, rowCount: rows, columnCount: width)
    check("addBias", sum) { x.array[$0] + bias.array[$0 % width] }
    let product = FloatBuffer(y.array)
    Kernels.multiply(product.pointer, by: x.pointer, count: rows * width)
    check("multiply", product) { y.array[$0] * x.array[$0] }
    let added = FloatBuffer(y.array)
    Kernels.addScaled(added.pointer, x.pointer, factor: 0.3, count: rows * width)
    check("addScaled", added) { y.array[$0] + x.array[$0] * 0.3 }
    let scaled = FloatBuffer(count: rows * width)
    Kernels.scale(scaled.pointer, x.pointer, factor: 0.3, count: rows * width)
    check("scale", scaled) { x.array[$0] * 0.3 }

    let apart = FloatBuffer([Float](repeating: 7, count: rows * wide))
    Kernels.copyRows(
      apart.pointer, stride: wide, from: x.pointer, stride: width, rowCount: rows,
      columnCount: width)
    #expect(
      apart.array
        == (0..<rows * wide).map { $0 % wide < width ? x.array[$0 / wide * width + $0 % wide] : 7 })
    Kernels.fillRows(
      apart.pointer, stride: wide, rowCount: rows, with: bias.pointer, columnCount: width)
    #expect(
      apart.array == (0..<rows * wide).map { $0 % wide < width ? bias.array[$0 % wide] : 7 })
  }

  @Test("LayerNorm and its gradient", arguments: widths)
  func layerNorm(width: Int) {
    let rows = 3
    let x = randomBuffer(rows * width, seed: 1)
    let gain = randomBuffer(width, seed: 2)
    let bias = randomBuffer(width, seed: 3)
    let dy = randomBuffer(rows * width, seed: 4)
    let out = FloatBuffer(count: rows * width)
    let statistics = FloatBuffer(count: 2 * rows)
    Kernels.layerNorm(
      out.pointer, x.pointer, gain: gain.pointer, bias: bias.pointer,
      statistics: statistics.pointer, rowCount: rows, width: width, epsilon: 1e-5)
    let dx = FloatBuffer(dy.array)
    Kernels.layerNormGradient(
      dx.pointer, dy: dx.pointer, x: x.pointer, gain: gain.pointer,
      statistics: statistics.pointer, rowCount: rows, width: width)
    for row in 0..<rows {
      let line = (0..<width).map { Double(x.pointer[row * width + $0]) }
      let slope = (0..<width).map {
        Double(dy.pointer[row * width + $0]) * Double(gain.pointer[$0])
      }
      let mean = line.reduce(0, +) / Double(width)
      let variance = line.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
      let inverse = 1 / (variance + 1e-5).squareRoot()
      let normal = line.map { ($0 - mean) * inverse }
      let plain = slope.reduce(0, +) / Double(width)
      let weighted = zip(slope, normal).reduce(0) { $0 + $1.0 * $1.1 } / Double(width)
      for column in 0..<width {
        let index = row * width + column
        let value = normal[column] * Double(gain.pointer[column]) + Double(bias.pointer[column])
        #expect(abs(Double(out.pointer[index]) - value) < 2e-5)
        let gradient = inverse * (slope[column] - plain - normal[column] * weighted)
        #expect(abs(Double(dx.pointer[index]) - gradient) < 1e-5 * max(1, inverse))
      }
    }
  }

  @Test("GELU and its slope from −12 to 12")
  func gelu() {
    let values = (-1200...1200).map { Float($0) / 100 }
    let x = FloatBuffer(values)
    let out = FloatBuffer(count: x.count)
    let only = FloatBuffer(values)
    Kernels.geluKeepingSlope(out.pointer, x.pointer, count: x.count)
    Kernels.gelu(only.pointer, count: x.count)
    #expect(only.array == out.array)
    for (index, value) in values.enumerated() {
      let u = Double(value)
      let cumulative = 0.5 * erfc(-u / 2.0.squareRoot())
      let bell = Foundation.exp(-u * u / 2) / (2 * Double.pi).squareRoot()
      #expect(abs(Double(out.pointer[index]) - u * cumulative) < 5e-7 * max(1, abs(u)))
      #expect(abs(Double(x.pointer[index]) - (cumulative + u * bell)) < 1e-6)
    }
  }

  @Test("softmax and its gradient, padding included", arguments: widths)
  func softmax(width: Int) {
    let (rows, stride) = (4, Kernels.paddedWidth(width))
    let scores = randomBuffer(rows * stride, seed: 5)
    let before = scores.array
    let gradient = randomBuffer(rows * stride, seed: 6)
    let upstream = gradient.array
    Kernels.softmax(scores.pointer, rowCount: rows, width: width)
    Kernels.softmaxGradient(
      gradient.pointer, probabilities: scores.pointer, rowCount: rows, width: width, scale: 0.5)
    for row in 0..<rows {
      let powers = (0..<width).map { Foundation.exp(Double(before[row * stride + $0])) }
      let probabilities = powers.map { $0 / powers.reduce(0, +) }
      let mean = (0..<width).reduce(0.0) {
        $0 + probabilities[$1] * Double(upstream[row * stride + $1])
      }
      for column in 0..<width {
        let index = row * stride + column
        #expect(abs(Double(scores.pointer[index]) - probabilities[column]) < 1e-6)
        let expected = 0.5 * probabilities[column] * (Double(upstream[index]) - mean)
        #expect(abs(Double(gradient.pointer[index]) - expected) < 1e-6)
      }
      for column in width..<stride { #expect(gradient.pointer[row * stride + column] == 0) }
    }
  }

  @Test("softmax does not read what the padding holds")
  func softmaxPadding() {
    let clean = FloatBuffer([1, 2, 3] + Array(repeating: 0, count: 13))
    let dirty = FloatBuffer([1, 2, 3] + Array(repeating: Float.nan, count: 13))
    Kernels.softmax(clean.pointer, rowCount: 1, width: 3)
    Kernels.softmax(dirty.pointer, rowCount: 1, width: 3)
    #expect(clean.array.map(\.bitPattern) == dirty.array.map(\.bitPattern))
  }

  @Test("dot products and sums of squares", arguments: widths)
  func sums(width: Int) {
    let a = randomBuffer(width, seed: 7)
    let b = randomBuffer(width, seed: 8)
    let dot = zip(a.array, b.array).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(Double(Kernels.dot(a.pointer, b.pointer, count: width)) - dot) < 1e-4)
    let squares = a.array.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(abs(Kernels.sumOfSquares(a.pointer, count: width) - squares) < 1e-9)
  }
}
