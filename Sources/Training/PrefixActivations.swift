internal import ModelFormats
package import Numerics

/// The hidden states of a segment's tokens as they enter one layer, packed record after record.
///
/// Below the trained layers nothing ever changes, so these are computed once and kept. A record's
/// bits are the same whether they come from a cache or from a new pass, and whatever records went
/// through the layers with it.
package struct PrefixActivations: Sendable {
  /// The layer they enter; the number of layers for the encoder's output.
  package let layer: Int
  /// First token of each record, and the number of all tokens at the end.
  package let starts: [Int]
  /// Floats per token.
  package let width: Int
  /// (tokens, width), row-major.
  package let hidden: FloatBuffer

  package var recordCount: Int { starts.count - 1 }
  package var tokenCount: Int { starts[recordCount] }
  package func length(_ record: Int) -> Int { starts[record + 1] - starts[record] }

  /// What a cache has to count.
  package var byteCount: Int {
    hidden.count * MemoryLayout<Float>.stride + starts.count * MemoryLayout<Int>.stride
  }

  /// The mean over each record's tokens: (records, width).
  package func pooled() -> FloatBuffer {
    let means = FloatBuffer(count: recordCount * width)
    for record in 0..<recordCount {
      Pooling.mean(
        means.pointer + record * width, hidden.pointer + starts[record] * width,
        length: length(record), width: width)
    }
    return means
  }
}

enum Pooling {
  /// The mean of `length` rows, added from the first to the last.
  static func mean(
    _ out: UnsafeMutablePointer<Float>, _ rows: UnsafePointer<Float>, length: Int, width: Int
  ) {
    out.update(from: rows, count: width)
    for row in 1..<max(length, 1) {
      Kernels.addScaled(out, rows + row * width, factor: 1, count: width)
    }
    Kernels.scale(out, out, factor: 1 / Float(length), count: width)
  }
}
