import Hashing
import Numerics
import Testing

@Suite("Matrix products")
struct GEMMTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var m: Int
    var n: Int
    var k: Int
    var because: String
    var testDescription: String { "\(m)x\(n)x\(k): \(because)" }
  }

  static let rows = [
    Row(m: 1, n: 1, k: 1, because: "the smallest there is"),
    Row(m: 3, n: 5, k: 7, because: "no multiple of any vector"),
    Row(m: 26, n: 26, k: 32, because: "attention of a short record"),
    Row(m: 33, n: 16, k: 384, because: "the inner product of an adapter"),
    Row(m: 130, n: 384, k: 16, because: "the outer product of an adapter"),
    Row(m: 130, n: 150, k: 300, because: "above OpenBLAS's small-matrix limit"),
  ]

  @Test("agrees with three plain loops in every form", arguments: rows)
  func agrees(_ row: Row) {
    let (m, n, k) = (row.m, row.n, row.k)
    let gemm = GEMM()
    let a = randomBuffer(m * k, seed: 1)
    let b = randomBuffer(k * n, seed: 2)
    for form in GEMM.Form.allCases {
      let c = randomBuffer(m * n, seed: 3)
      let before = c.array
      gemm.multiply(
        form, m: m, n: n, k: k, a.pointer, form == .transposedLeft ? m : k, b.pointer,
        form == .transposedRight ? k : n, into: c.pointer, n, scale: 0.5, accumulating: true)
      for i in 0..<m {
        for j in 0..<n {
          var sum = 0.0
          for l in 0..<k {
            let left = form == .transposedLeft ? a.pointer[l * m + i] : a.pointer[i * k + l]
            let right = form == .transposedRight ? b.pointer[j * k + l] : b.pointer[l * n + j]
            sum += Double(left) * Double(right)
          }
          let expected = Double(before[i * n + j]) + 0.5 * sum
          let error = abs(Double(c.pointer[i * n + j]) - expected)
          #expect(error < 1e-5 * Double(k).squareRoot() + 1e-6)
        }
      }
    }
    #expect(gemm.operationCount == UInt64(3 * 2 * m * n * k))
  }

  @Test("gives the same bits wherever the buffers begin", arguments: rows)
  func ignoresAlignment(_ row: Row) {
    let (m, n, k) = (row.m, row.n, row.k)
    let gemm = GEMM()
    for form in GEMM.Form.allCases {
      var results: [[UInt32]] = []
      for shift in [0, 1, 3, 7, 13] {
        let a = shifted(randomBuffer(m * k, seed: 1), by: shift)
        let b = shifted(randomBuffer(k * n, seed: 2), by: 2 * shift)
        let c = FloatBuffer(count: m * n + shift)
        gemm.multiply(
          form, m: m, n: n, k: k, a.pointer + shift, form == .transposedLeft ? m : k,
          b.pointer + 2 * shift, form == .transposedRight ? k : n, into: c.pointer + shift, n)
        results.append(c.array.dropFirst(shift).map(\.bitPattern))
      }
      #expect(results.allSatisfy { $0 == results[0] })
    }
  }

  @Test("an empty product leaves its target alone")
  func emptyProduct() {
    let c = randomBuffer(4, seed: 1)
    let before = c.array
    GEMM().multiply(.plain, m: 2, n: 2, k: 0, c.pointer, 1, c.pointer, 1, into: c.pointer, 2)
    #expect(c.array == before)
  }

  private func shifted(_ buffer: FloatBuffer, by shift: Int) -> FloatBuffer {
    let wider = FloatBuffer(count: buffer.count + shift)
    for (index, value) in buffer.array.enumerated() { wider.pointer[index + shift] = value }
    return wider
  }
}

/// Numbers between −2 and 2.
func randomBuffer(_ count: Int, seed: UInt64) -> FloatBuffer {
  var generator = SeededGenerator(seed: seed)
  return FloatBuffer((0..<count).map { _ in generator.nextUnitFloat() * 4 - 2 })
}
