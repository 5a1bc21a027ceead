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
    if upperLayers.isEmpty {
      takePooled(batch, segments, memory)
      return headLoss(memory, share: share)
    }
    var loss = 0.0
    var start = batch.startIndex
    while start < batch.endIndex {
      let end = gather(batch[start...], segments, memory)
      loss += partLoss(memory, share: share, accumulating: start > batch.startIndex)
      start = end
    }
    return loss
  }

  /// What the head reads of each record of a batch, and its target.
  func forEachPooled(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory,
    _ body: (UnsafePointer<Float>, Target) -> Void
  ) {
    func visit() {
      for (record, target) in memory.targets.enumerated() {
        body(memory.head.pooled.pointer + record * encoder.shape.hidden, target)
      }
    }
    if upperLayers.isEmpty {
      takePooled(batch, segments, memory)
      return visit()
    }
    var start = batch.startIndex
    while start < batch.endIndex {
      start = gather(batch[start...], segments, memory)
      runForward(memory)
      visit()
    }
  }

  /// The gathered records' part of the loss and the gradients.
  private func partLoss(_ memory: StepMemory, share: Double, accumulating: Bool) -> Double {
    runForward(memory)
    let layout = memory.layout
    let loss = headLoss(memory, share: share)
    let gradient = memory.gradient.pointer
    memory.head.spread(
      weight: parameters.pointer + self.layout.headWeight.lowerBound, layout,
      through: encoder.pooling, into: gradient)
    for index in upperLayers.indices.reversed() {
      memory.pass.backward(
        upperLayers[index], memory.rows[index].pointer, gradient: gradient, layout,
        memory.buffers[index], lora: memory.loras[index], needsInput: index > 0,
        accumulating: accumulating)
    }
    return loss
  }

  /// From the gathered activations to the pooled records.
  private func runForward(_ memory: StepMemory) {
    let layout = memory.layout
    for index in upperLayers.indices {
      memory.pass.forward(
        upperLayers[index], memory.rows[index].pointer, into: memory.rows[index + 1].pointer,
        layout, memory.buffers[index], lora: memory.loras[index], keeping: true)
    }
    let width = encoder.shape.hidden
    let last = memory.rows[upperLayers.count].pointer
    for record in 0..<layout.recordCount {
      encoder.pooling.pool(
        memory.head.pooled.pointer + record * width, last + layout.starts[record] * width,
        length: layout.length(record), width: width)
    }
  }

  private func headLoss(_ memory: StepMemory, share: Double) -> Double {
    memory.head.loss(
      memory.targets, share: share, weight: parameters.pointer + layout.headWeight.lowerBound,
      bias: parameters.pointer + layout.headBias.lowerBound,
      weightGradient: gradients.pointer + layout.headWeight.lowerBound,
      biasGradient: gradients.pointer + layout.headBias.lowerBound)
  }

  /// Where no layer runs, what the head reads is there from the start.
  private func takePooled(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory
  ) {
    let width = encoder.shape.hidden
    memory.targets.removeAll(keepingCapacity: true)
    for (row, position) in batch.enumerated() {
      memory.targets.append(segments[position.segment].targets[position.index])
      (memory.head.pooled.pointer + row * width).update(
        from: memory.pooled[position.segment].pointer + position.index * width, count: width)
    }
  }

  /// Packs activations end to end until a part is full, and says where the next part begins.
  private func gather(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory
  ) -> Int {
    let width = encoder.shape.hidden
    memory.layout.removeAll()
    memory.targets.removeAll(keepingCapacity: true)
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
      memory.targets.append(segment.targets[position.index])
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
      learningRate: recipe.learningRate * rateFactor * factor, weightDecay: recipe.weightDecay)
    optimizer.update(
      parameters.pointer, gradients: gradients.pointer, range: layout.head,
      learningRate: recipe.headLearningRate * rateFactor * factor, weightDecay: recipe.weightDecay)
  }
}
