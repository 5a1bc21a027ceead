private import COpenBLAS

/// Row-major single-precision matrix products on one BLAS thread, with a profile of their cost.
///
/// Bits are a function of the shape, the operands' values and the numeric class; the alignment of
/// the buffers does not matter (held by a test). OpenBLAS clears `c` in a pass of its own when it
/// does not accumulate, so filling `c` with a bias or a residual first and accumulating is free.
package final class GEMM {
  /// Which operand is stored transposed.
  package enum Form: CaseIterable, Sendable {
    /// `c(m,n) = a(m,k) · b(k,n)`
    case plain
    /// `c(m,n) = a(m,k) · b(n,k)ᵀ`, a linear layer's forward pass
    case transposedRight
    /// `c(m,n) = a(k,m)ᵀ · b(k,n)`, a sum over tokens
    case transposedLeft
  }

  /// Time spent inside BLAS since the last reset.
  package private(set) var nanoseconds: UInt64 = 0
  /// Floating-point operations done there: 2·m·n·k a product.
  package private(set) var operationCount: UInt64 = 0

  package init() {
    _ = Self.oneThread
  }

  package func resetProfile() {
    nanoseconds = 0
    operationCount = 0
  }

  /// Two BLAS threads cut some sums elsewhere than one does, so the engine never has more than one.
  private static let oneThread: Void = openblas_set_num_threads(1)

  /// Computes `c = scale · a·b`, or adds that product to `c`.
  ///
  /// - Parameters:
  ///   - aStride: elements from one stored row of `a` to the next; likewise for `b` and `c`.
  /// - Precondition: no operand overlaps `c`.
  package func multiply(
    _ form: Form, m: Int, n: Int, k: Int, _ a: UnsafePointer<Float>, _ aStride: Int,
    _ b: UnsafePointer<Float>, _ bStride: Int, into c: UnsafeMutablePointer<Float>, _ cStride: Int,
    scale: Float = 1, accumulating: Bool = false
  ) {
    guard m > 0, n > 0, k > 0 else { return }
    let start = lethe_monotonic_nanoseconds()
    cblas_sgemm(
      CblasRowMajor, form == .transposedLeft ? CblasTrans : CblasNoTrans,
      form == .transposedRight ? CblasTrans : CblasNoTrans, blasint(m), blasint(n), blasint(k),
      scale, a, blasint(aStride), b, blasint(bStride), accumulating ? 1 : 0, c, blasint(cStride))
    nanoseconds &+= lethe_monotonic_nanoseconds() &- start
    operationCount &+= UInt64(2 &* m &* n &* k)
  }
}

/// A clock for profiles; no result may depend on it.
package func profileNanoseconds() -> UInt64 { lethe_monotonic_nanoseconds() }
