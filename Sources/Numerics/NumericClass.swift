private import COpenBLAS
package import Hashing

/// Everything outside a run's inputs that shapes its bits; results compare only inside one class.
package struct NumericClass: Hashable, Sendable {
  /// Raised with any change that moves a bit of a trained block.
  package static let engineVersion = 2

  /// What OpenBLAS says about its build.
  package let blasConfiguration: String
  /// The kernel family in use.
  package let blasCore: String
  package let threadCount: Int
  /// SHA-256 over the results of a fixed set of products and kernels.
  package let probe: Digest

  /// Measures this process; about ten milliseconds.
  package static func current() -> NumericClass {
    let products = GEMM()
    return NumericClass(
      blasConfiguration: String(cString: openblas_get_config()),
      blasCore: String(cString: openblas_get_corename()),
      threadCount: Int(openblas_get_num_threads()), probe: probe(products))
  }

  /// One line that is equal exactly where the class is; what keys and messages carry.
  package var identifier: String {
    let configuration = blasConfiguration.split(separator: " ").joined(separator: " ")
    return "lethe-engine \(Self.engineVersion); \(configuration); core \(blasCore); "
      + "threads \(threadCount); probe \(probe.hex)"
  }
}

extension NumericClass {
  /// Shapes on both sides of OpenBLAS's small-matrix limit, and those the engine uses most.
  private static let shapes: [(m: Int, n: Int, k: Int)] = [
    (1, 1, 1), (3, 5, 7), (16, 16, 16), (26, 26, 32), (26, 32, 26), (64, 64, 32), (64, 32, 64),
    (5, 384, 384), (33, 16, 384), (130, 384, 16), (96, 384, 384), (70, 257, 300), (16, 384, 250),
  ]

  private static func probe(_ products: GEMM) -> Digest {
    var hasher = SHA256()
    for shape in shapes {
      let (m, n, k) = shape
      var generator = SeededGenerator(seed: UInt64(m * 1_000_000 + n * 1000 + k))
      let a = random(m * k, &generator)
      let b = random(k * n, &generator)
      let c = FloatBuffer(count: m * n)
      for form in GEMM.Form.allCases {
        products.multiply(
          form, m: m, n: n, k: k, a.pointer, form == .transposedLeft ? m : k, b.pointer,
          form == .transposedRight ? k : n, into: c.pointer, n)
        append(c, to: &hasher)
      }
    }
    var generator = SeededGenerator(seed: 1)
    let (rowCount, width) = (9, 77)
    let x = random(rowCount * width, &generator)
    let dy = random(rowCount * width, &generator)
    let gain = random(width, &generator)
    let out = FloatBuffer(count: rowCount * Kernels.paddedWidth(width))
    let statistics = FloatBuffer(count: 2 * rowCount)
    Kernels.layerNorm(
      out.pointer, x.pointer, gain: gain.pointer, bias: gain.pointer,
      statistics: statistics.pointer, rowCount: rowCount, width: width, epsilon: 1e-12)
    append(out, to: &hasher)
    Kernels.layerNormGradient(
      out.pointer, dy: dy.pointer, x: x.pointer, gain: gain.pointer,
      statistics: statistics.pointer, rowCount: rowCount, width: width)
    append(out, to: &hasher)
    Kernels.geluKeepingSlope(out.pointer, x.pointer, count: x.count)
    append(out, to: &hasher)
    append(x, to: &hasher)
    Kernels.softmax(out.pointer, rowCount: rowCount, width: width)
    append(out, to: &hasher)
    return hasher.finalize()
  }

  private static func random(_ count: Int, _ generator: inout SeededGenerator) -> FloatBuffer {
    let buffer = FloatBuffer(count: count)
    for index in 0..<count { buffer.pointer[index] = generator.nextUnitFloat() * 4 - 2 }
    return buffer
  }

  private static func append(_ buffer: FloatBuffer, to hasher: inout SHA256) {
    for index in 0..<buffer.count {
      withUnsafeBytes(of: buffer.pointer[index].bitPattern.littleEndian) {
        hasher.update($0)
      }
    }
  }
}
