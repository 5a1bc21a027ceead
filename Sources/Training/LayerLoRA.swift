internal import Unlearning

/// The trained adapters of one layer as places in the flat parameter and gradient vectors.
///
/// Adapters on query, key and value read the same input; their `a` matrices stand one after
/// another, so one product computes all of them, and one their gradients.
struct LayerLoRA {
  typealias Values = UnsafeMutablePointer<Float>

  struct Pair {
    var a: Values
    var b: Values
    var aGradient: Values
    var bGradient: Values
  }

  var rank: Int
  var scale: Float
  /// On query (slot 0), key (1), value (2), in that order.
  var input: [(slot: Int, pair: Pair)] = []
  var attentionOutput: Pair?
  var intermediate: Pair?
  var output: Pair?

  /// How far down the layer a gradient is needed when nothing below the layer is trained.
  enum Depth: Comparable { case output, intermediate, attentionOutput, input }

  var depth: Depth {
    if !input.isEmpty { return .input }
    if attentionOutput != nil { return .attentionOutput }
    return intermediate != nil ? .intermediate : .output
  }
}
