internal import Numerics

/// Runs single layers forward and backward over a packed batch.
struct LayerPass {
  typealias Input = UnsafePointer<Float>
  typealias Output = UnsafeMutablePointer<Float>

  let shape: LayerShape
  let gemm: GEMM
  let scratch: Scratch

  /// Computes a layer: `x` and `out` are (tokens, hidden).
  ///
  /// A bias, or the residual with the bias, is laid down first and the product added to it:
  /// OpenBLAS would clear the memory anyway, so both are free.
  func forward(
    _ weights: LayerWeights, _ x: Input, into out: Output, _ layout: TokenLayout,
    _ buffers: LayerBuffers, lora: LayerLoRA?, keeping: Bool
  ) {
    let (tokens, hidden, inner) = (layout.tokenCount, shape.hidden, shape.inner)
    let qkv = buffers.qkv.pointer
    Kernels.fillRows(
      qkv, stride: 3 * hidden, rowCount: tokens, with: weights.qkvBias, columnCount: 3 * hidden)
    linear(x, weights.qkv, into: qkv, tokens: tokens, outputs: 3 * hidden, inputs: hidden)
    if let lora, !lora.input.isEmpty { forwardInput(lora, x, buffers, tokens: tokens) }

    attention(layout, buffers, keeping: keeping)

    let attentionSum = buffers.attentionSum.pointer
    Kernels.addBias(
      attentionSum, x, bias: weights.attentionOutputBias, rowCount: tokens, columnCount: hidden)
    let context = Input(buffers.context.pointer)
    linear(
      context, weights.attentionOutput, into: attentionSum, tokens: tokens, outputs: hidden,
      inputs: hidden)
    branch(
      lora, lora?.attentionOutput, context, low: buffers.lowContext, into: attentionSum,
      tokens: tokens, outputs: hidden, inputs: hidden)
    let middle = buffers.middle.pointer
    Kernels.layerNorm(
      middle, attentionSum, gain: weights.attentionGain, bias: weights.attentionShift,
      statistics: buffers.attentionStatistics.pointer, rowCount: tokens, width: hidden,
      epsilon: shape.epsilon)

    let slope = buffers.slope.pointer
    Kernels.fillRows(
      slope, stride: inner, rowCount: tokens, with: weights.intermediateBias, columnCount: inner)
    linear(
      middle, weights.intermediate, into: slope, tokens: tokens, outputs: inner, inputs: hidden)
    branch(
      lora, lora?.intermediate, middle, low: buffers.lowMiddle, into: slope, tokens: tokens,
      outputs: inner, inputs: hidden)
    let activated = keeping ? buffers.activated.pointer : slope
    if keeping {
      Kernels.geluKeepingSlope(activated, slope, count: tokens * inner)
    } else {
      Kernels.gelu(activated, count: tokens * inner)
    }

    let outputSum = buffers.outputSum.pointer
    Kernels.addBias(
      outputSum, middle, bias: weights.outputBias, rowCount: tokens, columnCount: hidden)
    linear(
      activated, weights.output, into: outputSum, tokens: tokens, outputs: hidden, inputs: inner)
    branch(
      lora, lora?.output, activated, low: buffers.lowActivated, into: outputSum, tokens: tokens,
      outputs: hidden, inputs: inner)
    Kernels.layerNorm(
      out, outputSum, gain: weights.outputGain, bias: weights.outputShift,
      statistics: buffers.outputStatistics.pointer, rowCount: tokens, width: hidden,
      epsilon: shape.epsilon)
  }

  /// `out += x · weightᵀ`
  private func linear(
    _ x: Input, _ weight: Input, into out: Output, tokens: Int, outputs: Int, inputs: Int
  ) {
    gemm.multiply(
      .transposedRight, m: tokens, n: outputs, k: inputs, x, inputs, weight, inputs, into: out,
      outputs, accumulating: true)
  }

  /// `low = x · aᵀ`, `out += scale · low · bᵀ`
  private func branch(
    _ lora: LayerLoRA?, _ pair: LayerLoRA.Pair?, _ x: Input, low: FloatBuffer, into out: Output,
    tokens: Int, outputs: Int, inputs: Int
  ) {
    guard let lora, let pair else { return }
    let rank = lora.rank
    gemm.multiply(
      .transposedRight, m: tokens, n: rank, k: inputs, x, inputs, pair.a, inputs,
      into: low.pointer, rank)
    gemm.multiply(
      .transposedRight, m: tokens, n: outputs, k: rank, low.pointer, rank, pair.b, rank, into: out,
      outputs, scale: lora.scale, accumulating: true)
  }

  private func forwardInput(_ lora: LayerLoRA, _ x: Input, _ buffers: LayerBuffers, tokens: Int) {
    let (rank, hidden) = (lora.rank, shape.hidden)
    let width = rank * lora.input.count
    let low = buffers.lowInput.pointer
    gemm.multiply(
      .transposedRight, m: tokens, n: width, k: hidden, x, hidden, lora.input[0].pair.a, hidden,
      into: low, width)
    for (place, (slot, pair)) in lora.input.enumerated() {
      gemm.multiply(
        .transposedRight, m: tokens, n: hidden, k: rank, low + place * rank, width, pair.b, rank,
        into: buffers.qkv.pointer + slot * hidden, 3 * hidden, scale: lora.scale,
        accumulating: true)
    }
  }
}
