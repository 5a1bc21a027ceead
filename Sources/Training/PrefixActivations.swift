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

  /// What an encoder's head reads of each record's last hidden states: (records, width).
  package func pooled(by encoder: Encoder) -> FloatBuffer {
    let pooled = FloatBuffer(count: recordCount * width)
    for record in 0..<recordCount {
      encoder.pooling.pool(
        pooled.pointer + record * width, hidden.pointer + starts[record] * width,
        length: length(record), width: width)
    }
    return pooled
  }
}
