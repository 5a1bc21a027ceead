internal import Numerics

extension LayerPass {
  /// Takes the gradient of a layer's output to that of its input, and those of its trained
  /// adapters.
  ///
  /// - Parameters:
  ///   - gradient: (tokens, hidden), replaced; its content is meaningless if the input's is not
  /// needed.
  ///   - needsInput: whether a layer below is trained. If not, the pass ends where the lowest
  /// adapter of this layer has its gradient.
  ///   - accumulating: whether the adapters' gradients are added to what stands there.
  func backward(
    _ weights: LayerWeights, _ x: Input, gradient: Output, _ layout: TokenLayout,
    _ buffers: LayerBuffers, lora: LayerLoRA?, needsInput: Bool, accumulating: Bool
  ) {
    let (tokens, hidden, inner) = (layout.tokenCount, shape.hidden, shape.inner)
    let low = scratch.lowGradient.pointer
    let rank = lora?.rank ?? 0
    let scale = lora?.scale ?? 0
    let end = needsInput ? LayerLoRA.Depth.input : (lora?.depth ?? .output)

    Kernels.layerNormGradient(
      gradient, dy: gradient, x: buffers.outputSum.pointer, gain: weights.outputGain,
      statistics: buffers.outputStatistics.pointer, rowCount: tokens, width: hidden)
    let wide = scratch.wide.pointer
    if let pair = lora?.output {
      pairGradient(
        pair, rank, scale, gradient, hidden, hidden, x: buffers.activated.pointer, inner,
        lowForward: buffers.lowActivated.pointer, rank, tokens: tokens, accumulating: accumulating)
    }
    guard end > .output else { return }
    gemm.multiply(
      .plain, m: tokens, n: inner, k: hidden, gradient, hidden, weights.output, inner, into: wide,
      inner)
    if let pair = lora?.output {
      gemm.multiply(
        .plain, m: tokens, n: inner, k: rank, low, rank, pair.a, inner, into: wide, inner,
        accumulating: true)
    }
    Kernels.multiply(wide, by: buffers.slope.pointer, count: tokens * inner)
    if let pair = lora?.intermediate {
      pairGradient(
        pair, rank, scale, wide, inner, inner, x: buffers.middle.pointer, hidden,
        lowForward: buffers.lowMiddle.pointer, rank, tokens: tokens, accumulating: accumulating)
    }
    guard end > .intermediate else { return }
    // The residual's gradient already stands there; the feed-forward branch is added to it.
    gemm.multiply(
      .plain, m: tokens, n: hidden, k: inner, wide, inner, weights.intermediate, hidden,
      into: gradient, hidden, accumulating: true)
    if let pair = lora?.intermediate {
      gemm.multiply(
        .plain, m: tokens, n: hidden, k: rank, low, rank, pair.a, hidden, into: gradient, hidden,
        accumulating: true)
    }
    Kernels.layerNormGradient(
      gradient, dy: gradient, x: buffers.attentionSum.pointer, gain: weights.attentionGain,
      statistics: buffers.attentionStatistics.pointer, rowCount: tokens, width: hidden)
    if let pair = lora?.attentionOutput {
      pairGradient(
        pair, rank, scale, gradient, hidden, hidden, x: buffers.context.pointer, hidden,
        lowForward: buffers.lowContext.pointer, rank, tokens: tokens, accumulating: accumulating)
    }
    guard end > .attentionOutput else { return }
    let contextGradient = scratch.contextGradient
    gemm.multiply(
      .plain, m: tokens, n: hidden, k: hidden, gradient, hidden, weights.attentionOutput, hidden,
      into: contextGradient, hidden)
    if let pair = lora?.attentionOutput {
      gemm.multiply(
        .plain, m: tokens, n: hidden, k: rank, low, rank, pair.a, hidden, into: contextGradient,
        hidden, accumulating: true)
    }
    func wanted(_ slot: Int) -> Bool {
      needsInput || lora?.input.contains { $0.slot == slot } == true
    }
    attentionGradient(layout, buffers, slots: (wanted(0), wanted(1), wanted(2)))
    if let lora, !lora.input.isEmpty {
      inputGradient(lora, x, buffers, tokens: tokens, accumulating: accumulating)
    }
    guard needsInput else { return }
    gemm.multiply(
      .plain, m: tokens, n: hidden, k: 3 * hidden, scratch.qkvGradient, 3 * hidden,
      weights.qkv, hidden, into: gradient, hidden, accumulating: true)
    if let lora, !lora.input.isEmpty {
      let width = rank * lora.input.count
      gemm.multiply(
        .plain, m: tokens, n: hidden, k: width, low, width, lora.input[0].pair.a, hidden,
        into: gradient, hidden, accumulating: true)
    }
  }

  /// The gradients of one pair, and of its inner product, which stays in `lowGradient`.
  ///
  /// `low = scale · dy · b`, `dB = scale · dyᵀ · lowForward`, `dA = lowᵀ · x`.
  private func pairGradient(
    _ pair: LayerLoRA.Pair, _ rank: Int, _ scale: Float, _ dy: Input, _ dyStride: Int,
    _ outputs: Int, x: Input, _ inputs: Int, lowForward: Input, _ lowStride: Int, tokens: Int,
    accumulating: Bool
  ) {
    let low = scratch.lowGradient.pointer
    gemm.multiply(
      .plain, m: tokens, n: rank, k: outputs, dy, dyStride, pair.b, rank, into: low, rank,
      scale: scale)
    gemm.multiply(
      .transposedLeft, m: outputs, n: rank, k: tokens, dy, dyStride, lowForward, lowStride,
      into: pair.bGradient, rank, scale: scale, accumulating: accumulating)
    gemm.multiply(
      .transposedLeft, m: rank, n: inputs, k: tokens, low, rank, x, inputs, into: pair.aGradient,
      inputs, accumulating: accumulating)
  }

  /// The gradients of the adapters on query, key and value; their inner products' stay side by
  /// side.
  private func inputGradient(
    _ lora: LayerLoRA, _ x: Input, _ buffers: LayerBuffers, tokens: Int, accumulating: Bool
  ) {
    let (rank, hidden) = (lora.rank, shape.hidden)
    let width = rank * lora.input.count
    let low = scratch.lowGradient.pointer
    for (place, (slot, pair)) in lora.input.enumerated() {
      let dy = scratch.qkvGradient + slot * hidden
      gemm.multiply(
        .plain, m: tokens, n: rank, k: hidden, dy, 3 * hidden, pair.b, rank,
        into: low + place * rank, width, scale: lora.scale)
      gemm.multiply(
        .transposedLeft, m: hidden, n: rank, k: tokens, dy, 3 * hidden,
        buffers.lowInput.pointer + place * rank, width, into: pair.bGradient, rank,
        scale: lora.scale, accumulating: accumulating)
    }
    gemm.multiply(
      .transposedLeft, m: width, n: hidden, k: tokens, low, width, x, hidden,
      into: lora.input[0].pair.aGradient, hidden, accumulating: accumulating)
  }
}
