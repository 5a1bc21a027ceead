internal import Numerics

/// What one layer's forward pass leaves for its backward pass.
///
/// What only a trained adapter reads again (`context`, `middle`, `activated`) is the layer's own
/// where there is one, and otherwise memory that every layer overwrites.
///
/// | name | shape | meaning |
/// |-|-|-|
/// | `qkv` | (tokens, 3·hidden) | queries, keys, values |
/// | `probabilities` | per record and head (length, padded length) | attention after softmax |
/// | `context` | (tokens, hidden) | attention's output before its projection |
/// | `attentionSum`, `outputSum` | (tokens, hidden) | what each LayerNorm reads |
/// | `middle` | (tokens, hidden) | between attention and feed-forward |
/// | `slope` | (tokens, inner) | GELU's input, then its slope there |
/// | `activated` | (tokens, inner) | GELU's output |
/// | `low` | per projection (tokens, rank) | inner products of trained adapters |
final class LayerBuffers {
  let qkv: FloatBuffer
  let probabilities: FloatBuffer
  let context: FloatBuffer
  let attentionSum: FloatBuffer
  let attentionStatistics: FloatBuffer
  let middle: FloatBuffer
  let slope: FloatBuffer
  let activated: FloatBuffer
  let outputSum: FloatBuffer
  let outputStatistics: FloatBuffer
  let lowInput: FloatBuffer
  let lowContext: FloatBuffer
  let lowMiddle: FloatBuffer
  let lowActivated: FloatBuffer

  /// - Parameter keeping: whether a backward pass follows, which needs every record's
  ///   probabilities and GELU's slope.
  init(
    _ shape: LayerShape, _ bounds: BatchBounds, lora: LayerLoRA?, scratch: Scratch, keeping: Bool
  ) {
    let (tokens, hidden) = (bounds.tokens, shape.hidden)
    qkv = FloatBuffer(count: tokens * 3 * hidden)
    probabilities = FloatBuffer(
      count: keeping ? bounds.scores : bounds.longest * Kernels.paddedWidth(bounds.longest))
    context =
      lora?.attentionOutput == nil ? scratch.context : FloatBuffer(count: tokens * hidden)
    attentionSum = FloatBuffer(count: tokens * hidden)
    attentionStatistics = FloatBuffer(count: 2 * tokens)
    middle = lora?.intermediate == nil ? scratch.middle : FloatBuffer(count: tokens * hidden)
    slope = FloatBuffer(count: tokens * shape.inner)
    activated = lora?.output == nil ? scratch.wide : FloatBuffer(count: tokens * shape.inner)
    outputSum = FloatBuffer(count: tokens * hidden)
    outputStatistics = FloatBuffer(count: 2 * tokens)
    let rank = lora?.rank ?? 0
    lowInput = FloatBuffer(count: tokens * rank * (lora?.input.count ?? 0))
    lowContext = FloatBuffer(count: lora?.attentionOutput == nil ? 0 : tokens * rank)
    lowMiddle = FloatBuffer(count: lora?.intermediate == nil ? 0 : tokens * rank)
    lowActivated = FloatBuffer(count: lora?.output == nil ? 0 : tokens * rank)
  }
}

/// Memory that every layer uses and none keeps.
final class Scratch {
  /// One head of one record, contiguous: queries, keys, values, and the context's gradient.
  let query: FloatBuffer
  let key: FloatBuffer
  let value: FloatBuffer
  let headGradient: FloatBuffer
  /// (length, padded length)
  let scoreGradient: FloatBuffer
  /// (tokens, hidden): attention's output where it is not kept.
  let context: FloatBuffer
  /// (tokens, hidden): between attention and feed-forward where it is not kept.
  let middle: FloatBuffer
  /// (tokens, inner): GELU's output where it is not kept; its gradient on the way back. When that
  /// has been passed on, the gradients of queries, keys, values and context take its place.
  let wide: FloatBuffer
  /// (tokens, 3·hidden), in `wide`.
  let qkvGradient: UnsafeMutablePointer<Float>
  /// (tokens, hidden), in `wide`.
  let contextGradient: UnsafeMutablePointer<Float>
  /// (tokens, 3·rank)
  let lowGradient: FloatBuffer

  init(_ shape: LayerShape, _ bounds: BatchBounds, rank: Int, forBackward: Bool) {
    let head = bounds.longest * shape.headWidth
    query = FloatBuffer(count: head)
    key = FloatBuffer(count: head)
    value = FloatBuffer(count: head)
    headGradient = FloatBuffer(count: head)
    context = FloatBuffer(count: bounds.tokens * shape.hidden)
    middle = FloatBuffer(count: bounds.tokens * shape.hidden)
    let tokens = forBackward ? bounds.tokens : 0
    scoreGradient = FloatBuffer(
      count: forBackward ? bounds.longest * Kernels.paddedWidth(bounds.longest) : 0)
    wide = FloatBuffer(count: tokens * max(shape.inner, 4 * shape.hidden))
    qkvGradient = wide.pointer
    contextGradient = wide.pointer + tokens * 3 * shape.hidden
    lowGradient = FloatBuffer(count: tokens * 3 * rank)
  }
}
