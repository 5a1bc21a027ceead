/// Element-wise and row-wise arithmetic on row-major matrices, one thread, one fixed order.
///
/// Multiplications and additions stay separate (no fused form), sums run in sixteen lanes that are
/// added up once: the same bits at every vector width of the host.
package enum Kernels {
  package typealias Input = UnsafePointer<Float>
  package typealias Output = UnsafeMutablePointer<Float>
  typealias Lanes = SIMD16<Float>

  @inline(__always)
  static func load(_ pointer: Input, _ index: Int) -> Lanes {
    UnsafeRawPointer(pointer + index).loadUnaligned(as: Lanes.self)
  }

  @inline(__always)
  static func store(_ lanes: Lanes, _ pointer: Output, _ index: Int) {
    UnsafeMutableRawPointer(pointer + index).storeBytes(of: lanes, as: Lanes.self)
  }

  /// Adds the lanes in a tree: halves, quarters, pairs.
  @inline(__always)
  static func sum(_ lanes: Lanes) -> Float {
    let eight = lanes.lowHalf + lanes.highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
  }

  /// Copies `values` into each of `rowCount` rows of `out`.
  package static func fillRows(
    _ out: Output, stride: Int, rowCount: Int, with values: Input, columnCount: Int
  ) {
    for row in 0..<rowCount {
      (out + row * stride).update(from: values, count: columnCount)
    }
  }

  /// `out = x + bias`, the bias in each row.
  package static func addBias(
    _ out: Output, _ x: Input, bias: Input, rowCount: Int, columnCount: Int
  ) {
    for row in 0..<rowCount {
      let target = out + row * columnCount
      let source = x + row * columnCount
      for column in 0..<columnCount { target[column] = source[column] + bias[column] }
    }
  }

  /// `out *= x`, element by element.
  package static func multiply(_ out: Output, by x: Input, count: Int) {
    for index in 0..<count { out[index] = out[index] * x[index] }
  }

  /// Copies rows of `columnCount` elements that stand strides apart, here and there.
  package static func copyRows(
    _ out: Output, stride outStride: Int, from x: Input, stride: Int, rowCount: Int,
    columnCount: Int
  ) {
    for row in 0..<rowCount {
      (out + row * outStride).update(from: x + row * stride, count: columnCount)
    }
  }

  /// The scalar product of two vectors.
  package static func dot(_ a: Input, _ b: Input, count: Int) -> Float {
    var lanes = Lanes.zero
    var index = 0
    while index + 16 <= count {
      lanes += load(a, index) * load(b, index)
      index += 16
    }
    var total = sum(lanes)
    while index < count {
      total += a[index] * b[index]
      index += 1
    }
    return total
  }

  /// `out += factor · x`.
  package static func addScaled(_ out: Output, _ x: Input, factor: Float, count: Int) {
    for index in 0..<count { out[index] = out[index] + x[index] * factor }
  }

  /// `out = factor · x`.
  package static func scale(_ out: Output, _ x: Input, factor: Float, count: Int) {
    for index in 0..<count { out[index] = x[index] * factor }
  }

  /// The sum of squares in double precision, for a gradient's norm.
  package static func sumOfSquares(_ x: Input, count: Int) -> Double {
    var total = 0.0
    for index in 0..<count {
      let value = Double(x[index])
      total += value * value
    }
    return total
  }
}
