internal import ModelFormats
internal import Numerics
internal import Unlearning

/// The parameters of one post-norm encoder layer, most of them in the backbone's mapped file.
///
/// A linear layer's weight is (outputs, inputs), row-major. Query, key and value stand in one
/// matrix, so that one product computes all three.
struct LayerWeights {
  typealias Values = UnsafePointer<Float>

  var qkv: Values
  var qkvBias: Values
  var attentionOutput: Values
  var attentionOutputBias: Values
  var attentionGain: Values
  var attentionShift: Values
  var intermediate: Values
  var intermediateBias: Values
  var output: Values
  var outputBias: Values
  var outputGain: Values
  var outputShift: Values
  /// Keeps what is not in the file.
  var owners: [FloatBuffer]

  /// The same layer with frozen adapters folded into copies of the weights they change.
  ///
  /// A frozen adapter then costs nothing, forward or backward.
  func merging(_ adapters: [Adapter], _ shape: LayerShape, _ gemm: GEMM) -> LayerWeights {
    var merged = self
    for target in ProjectionTarget.allCases {
      for adapter in adapters where adapter.target == target {
        let (outputs, inputs) = shape.size(of: target)
        let weight = merged.writable(target, from: self, shape)
        adapter.b.withUnsafeBufferPointer { b in
          adapter.a.withUnsafeBufferPointer { a in
            guard let b = b.baseAddress, let a = a.baseAddress else { return }
            gemm.multiply(
              .plain, m: outputs, n: inputs, k: adapter.rank, b, adapter.rank, a, inputs,
              into: weight, inputs, scale: adapter.scale, accumulating: true)
          }
        }
      }
    }
    return merged
  }

  /// Memory of the projection's weight that may be written, copied on first use.
  private mutating func writable(
    _ target: ProjectionTarget, from base: LayerWeights, _ shape: LayerShape
  ) -> UnsafeMutablePointer<Float> {
    func copy(_ values: Values, _ count: Int, _ owners: inout [FloatBuffer])
      -> UnsafeMutablePointer<Float>
    {
      let buffer = FloatBuffer(count: count)
      buffer.pointer.update(from: values, count: count)
      owners.append(buffer)
      return buffer.pointer
    }
    let (outputs, inputs) = shape.size(of: target)
    switch target {
    case .query, .key, .value:
      if qkv == base.qkv { qkv = Values(copy(qkv, 3 * outputs * inputs, &owners)) }
      return UnsafeMutablePointer(mutating: qkv) + target.ordinal * outputs * inputs
    case .attentionOutput:
      attentionOutput = Values(copy(attentionOutput, outputs * inputs, &owners))
      return UnsafeMutablePointer(mutating: attentionOutput)
    case .intermediate:
      intermediate = Values(copy(intermediate, outputs * inputs, &owners))
      return UnsafeMutablePointer(mutating: intermediate)
    case .output:
      output = Values(copy(output, outputs * inputs, &owners))
      return UnsafeMutablePointer(mutating: output)
    }
  }
}

/// The sizes every layer of one encoder shares.
struct LayerShape: Sendable {
  var hidden: Int
  var heads: Int
  var inner: Int
  var epsilon: Float

  init(_ configuration: EncoderConfiguration) {
    hidden = configuration.hiddenSize
    heads = configuration.headCount
    inner = configuration.intermediateSize
    epsilon = Float(configuration.layerNormEpsilon)
  }

  var headWidth: Int { hidden / heads }

  /// Outputs and inputs of a projection.
  func size(of target: ProjectionTarget) -> (outputs: Int, inputs: Int) {
    switch target {
    case .query, .key, .value, .attentionOutput: (hidden, hidden)
    case .intermediate: (inner, hidden)
    case .output: (hidden, inner)
    }
  }
}
