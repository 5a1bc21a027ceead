internal import Numerics
import Tokenization

/// From how many rows on a layer's products give each row the same bits in any company.
///
/// OpenBLAS has other kernels, with sums in another order, for products of less than a million
/// multiplications; and some kernel families (Haswell's) sum a row differently at another place or
/// among another number of rows. So it is measured once, for the products of the first layer, in
/// the process that relies on it. Where rows depend on each other, or only many would not, every
/// text goes through the layers alone, and its bits are its own all the same.
///
/// Attention, LayerNorm, pooling and the head work on one text at a time anyhow.
struct RowIndependence {
  /// `nil` where no number is enough.
  let fewestRows: Int?

  /// Below so many rows per text, padding up to `fewestRows` costs next to nothing.
  private static let rowLimit = 64
  private static let smallProductLimit = 1_000_000

  /// Measures; some milliseconds.
  ///
  /// - Parameters:
  ///   - values: any `count` numbers to multiply; word vectors will do.
  ///   - longest: the most tokens that a text of padding may have.
  init(
    _ layer: LayerWeights?, _ shape: LayerShape, values: UnsafePointer<Float>, count: Int,
    longest: Int
  ) {
    let (hidden, inner) = (shape.hidden, shape.inner)
    let fewest = Self.smallProductLimit / (hidden * min(hidden, inner)) + 1
    let many = 4 * fewest + 9
    guard let layer, fewest <= min(Self.rowLimit, longest), many * max(hidden, inner) <= count
    else {
      fewestRows = nil
      return
    }
    let products = [
      (layer.qkv, 3 * hidden, hidden), (layer.attentionOutput, hidden, hidden),
      (layer.intermediate, inner, hidden), (layer.output, hidden, inner),
    ]
    let isIndependent = products.allSatisfy { weight, outputs, inputs in
      let whole = Self.product(values, weight, rows: many, outputs, inputs)
      // Rows in the middle, at the end, few and many, of even and odd number.
      return [(0, fewest), (1, fewest), (many - fewest - 1, fewest + 1), (3, 2 * fewest + 3)]
        .allSatisfy { start, rows in
          let part = Self.product(
            values + start * inputs, weight, rows: rows, outputs, inputs)
          return (0..<rows * outputs).allSatisfy {
            part.pointer[$0].bitPattern == whole.pointer[start * outputs + $0].bitPattern
          }
        }
    }
    fewestRows = isIndependent ? fewest : nil
  }

  /// As a layer computes it: added to what stands there.
  private static func product(
    _ values: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, rows: Int, _ outputs: Int,
    _ inputs: Int
  ) -> FloatBuffer {
    let out = FloatBuffer(count: rows * outputs)
    GEMM().multiply(
      .transposedRight, m: rows, n: outputs, k: inputs, values, inputs, weight, inputs,
      into: out.pointer, outputs, accumulating: true)
    return out
  }

  /// Texts that go through the layers together: whole ones until there are enough tokens, or each
  /// alone.
  func stretches(of sequences: [TokenSequence], tokenLimit: Int) -> [Range<Int>] {
    guard fewestRows != nil else { return sequences.indices.map { $0..<$0 + 1 } }
    var stretches: [Range<Int>] = []
    var (start, tokens) = (0, 0)
    for (index, sequence) in sequences.enumerated() {
      tokens += sequence.count
      if tokens >= tokenLimit {
        stretches.append(start..<index + 1)
        (start, tokens) = (index + 1, 0)
      }
    }
    if start < sequences.count { stretches.append(start..<sequences.count) }
    return stretches
  }

  /// The texts of a stretch, with one of padding where there would be too few tokens.
  func filled(_ sequences: ArraySlice<TokenSequence>) -> [TokenSequence] {
    let missing = (fewestRows ?? 0) - sequences.reduce(0) { $0 + $1.count }
    guard missing > 0 else { return Array(sequences) }
    return sequences + [TokenSequence(ids: Array(repeating: 0, count: missing))]
  }
}
