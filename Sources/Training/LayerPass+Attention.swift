internal import Numerics

extension LayerPass {
  /// Self-attention of every record over its own tokens, head by head.
  ///
  /// A head's rows stand 3·hidden floats apart; copied together they fit the first-level cache,
  /// which doubles the rate of the products that follow.
  func attention(_ layout: TokenLayout, _ buffers: LayerBuffers, keeping: Bool) {
    let (hidden, width) = (shape.hidden, shape.headWidth)
    let scale = 1 / Float(width).squareRoot()
    let (query, key, value) = (scratch.query.pointer, scratch.key.pointer, scratch.value.pointer)
    for record in 0..<layout.recordCount {
      let length = layout.length(record)
      let padded = Kernels.paddedWidth(length)
      let rows = buffers.qkv.pointer + layout.starts[record] * 3 * hidden
      let context = buffers.context.pointer + layout.starts[record] * hidden
      for head in 0..<shape.heads {
        let column = head * width
        gather(query, rows + column, length)
        gather(key, rows + hidden + column, length)
        gather(value, rows + 2 * hidden + column, length)
        let scores =
          buffers.probabilities.pointer
          + (keeping ? layout.scoreStarts[record] + head * length * padded : 0)
        gemm.multiply(
          .transposedRight, m: length, n: length, k: width, query, width, key, width, into: scores,
          padded, scale: scale)
        Kernels.softmax(scores, rowCount: length, width: length)
        gemm.multiply(
          .plain, m: length, n: width, k: length, scores, padded, value, width,
          into: context + column, hidden)
      }
    }
  }

  /// The gradient of attention: from the context's to those of queries, keys and values.
  ///
  /// - Parameter slots: which of query (0), key (1), value (2) are wanted; others are left as they
  ///   are.
  func attentionGradient(
    _ layout: TokenLayout, _ buffers: LayerBuffers, slots: (query: Bool, key: Bool, value: Bool)
  ) {
    let (hidden, width) = (shape.hidden, shape.headWidth)
    let scale = 1 / Float(width).squareRoot()
    let (query, key, value) = (scratch.query.pointer, scratch.key.pointer, scratch.value.pointer)
    let gradient = scratch.headGradient.pointer
    let scores = scratch.scoreGradient.pointer
    for record in 0..<layout.recordCount {
      let length = layout.length(record)
      let padded = Kernels.paddedWidth(length)
      let rows = buffers.qkv.pointer + layout.starts[record] * 3 * hidden
      let outRows = scratch.qkvGradient + layout.starts[record] * 3 * hidden
      let contextRows = scratch.contextGradient + layout.starts[record] * hidden
      for head in 0..<shape.heads {
        let column = head * width
        let probabilities =
          buffers.probabilities.pointer + layout.scoreStarts[record] + head * length * padded
        Kernels.copyRows(
          gradient, stride: width, from: contextRows + column, stride: hidden, rowCount: length,
          columnCount: width)
        if slots.value {
          gemm.multiply(
            .transposedLeft, m: length, n: width, k: length, probabilities, padded, gradient,
            width, into: outRows + 2 * hidden + column, 3 * hidden)
        }
        guard slots.query || slots.key else { continue }
        gather(value, rows + 2 * hidden + column, length)
        gemm.multiply(
          .transposedRight, m: length, n: length, k: width, gradient, width, value, width,
          into: scores, padded)
        Kernels.softmaxGradient(
          scores, probabilities: probabilities, rowCount: length, width: length, scale: scale)
        if slots.query {
          gather(key, rows + hidden + column, length)
          gemm.multiply(
            .plain, m: length, n: width, k: length, scores, padded, key, width,
            into: outRows + column, 3 * hidden)
        }
        if slots.key {
          gather(query, rows + column, length)
          gemm.multiply(
            .transposedLeft, m: length, n: width, k: length, scores, padded, query, width,
            into: outRows + hidden + column, 3 * hidden)
        }
      }
    }
  }

  private func gather(_ out: Output, _ rows: Input, _ length: Int) {
    Kernels.copyRows(
      out, stride: shape.headWidth, from: rows, stride: 3 * shape.hidden, rowCount: length,
      columnCount: shape.headWidth)
  }
}
