internal import Numerics
internal import Unlearning

extension BlockTrainer {
  /// The loss of one batch and the gradients of everything trained, without a step.
  package func lossAndGradients(of batch: [RecordPosition], in segments: [TrainingSegment])
    throws(TrainingError) -> Double
  {
    try check(segments)
    try check(batch, in: segments)
    let memory = prepare(segments, batchSize: max(batch.count, recipe.batchSize))
    return lossAndGradients(batch[...], segments, memory)
  }

  /// Goes through the batch in parts that fit the step's memory and adds up what they give.
  func lossAndGradients(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory
  ) -> Double {
    (gradients.pointer + layout.head.lowerBound).update(repeating: 0, count: layout.head.count)
    let share = 1 / Double(batch.count)
    if upperLayers.isEmpty { return headLoss(batch, segments, memory, share: share) }
    var loss = 0.0
    var start = batch.startIndex
    while start < batch.endIndex {
      let end = gather(batch[start...], segments, memory)
      loss += partLoss(memory, share: share, accumulating: start > batch.startIndex)
      start = end
    }
    return loss
  }

  /// The gathered records' part of the loss and the gradients.
  private func partLoss(_ memory: StepMemory, share: Double, accumulating: Bool) -> Double {
    let layout = memory.layout
    for index in upperLayers.indices {
      memory.pass.forward(
        upperLayers[index], memory.rows[index].pointer, into: memory.rows[index + 1].pointer,
        layout, memory.buffers[index], lora: memory.loras[index], keeping: true)
    }
    let width = encoder.shape.hidden
    let last = memory.rows[upperLayers.count].pointer
    for record in 0..<layout.recordCount {
      Pooling.mean(
        memory.classification.pooled.pointer + record * width, last + layout.starts[record] * width,
        length: layout.length(record), width: width)
    }
    let loss = classify(memory, share: share)
    let gradient = memory.gradient.pointer
    memory.classification.spread(
      weight: parameters.pointer + self.layout.headWeight.lowerBound, layout, into: gradient)
    for index in upperLayers.indices.reversed() {
      memory.pass.backward(
        upperLayers[index], memory.rows[index].pointer, gradient: gradient, layout,
        memory.buffers[index], lora: memory.loras[index], needsInput: index > 0,
        accumulating: accumulating)
    }
    return loss
  }

  private func classify(_ memory: StepMemory, share: Double) -> Double {
    memory.classification.loss(
      memory.labels, share: share, weight: parameters.pointer + layout.headWeight.lowerBound,
      bias: parameters.pointer + layout.headBias.lowerBound,
      weightGradient: gradients.pointer + layout.headWeight.lowerBound,
      biasGradient: gradients.pointer + layout.headBias.lowerBound)
  }

  private func headLoss(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory,
    share: Double
  ) -> Double {
    let width = encoder.shape.hidden
    memory.labels.removeAll(keepingCapacity: true)
    for (row, position) in batch.enumerated() {
      memory.labels.append(segments[position.segment].labels[position.index])
      (memory.classification.pooled.pointer + row * width).update(
        from: memory.pooled[position.segment].pointer + position.index * width, count: width)
    }
    return classify(memory, share: share)
  }

  /// Packs activations end to end until a part is full, and says where the next part begins.
  private func gather(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory
  ) -> Int {
    let width = encoder.shape.hidden
    memory.layout.removeAll()
    memory.labels.removeAll(keepingCapacity: true)
    for (index, position) in zip(batch.indices, batch) {
      let segment = segments[position.segment]
      let activations = segment.activations
      let length = activations.length(position.index)
      let tokenCount = memory.layout.tokenCount + length
      guard index == batch.startIndex || tokenCount <= BatchBounds.partTokenCount else {
        return index
      }
      (memory.rows[0].pointer + memory.layout.tokenCount * width).update(
        from: activations.hidden.pointer + activations.starts[position.index] * width,
        count: length * width)
      memory.layout.append(length: length)
      memory.labels.append(segment.labels[position.index])
    }
    return batch.endIndex
  }

  /// Clips, and moves every trained tensor one step.
  func applyStep(factor: Double) {
    var squares = 0.0
    for entry in layout.entries {
      squares += Kernels.sumOfSquares(gradients.pointer + entry.a.lowerBound, count: entry.a.count)
      squares += Kernels.sumOfSquares(gradients.pointer + entry.b.lowerBound, count: entry.b.count)
    }
    squares += Kernels.sumOfSquares(
      gradients.pointer + layout.head.lowerBound, count: layout.head.count)
    if recipe.maximumGradientNorm > 0 {
      let share = recipe.maximumGradientNorm / (squares.squareRoot() + 1e-6)
      if share < 1 {
        Kernels.scale(
          gradients.pointer, gradients.pointer, factor: Float(share), count: layout.count)
      }
    }
    optimizer.advance()
    optimizer.update(
      parameters.pointer, gradients: gradients.pointer, range: layout.adapters,
      learningRate: recipe.learningRate * factor, weightDecay: recipe.weightDecay)
    optimizer.update(
      parameters.pointer, gradients: gradients.pointer, range: layout.head,
      learningRate: recipe.headLearningRate * factor, weightDecay: recipe.weightDecay)
  }
}
