internal import Numerics
internal import Unlearning

extension BlockTrainer {
  /// Trains from where the trainer stands to the last step.
  ///
  /// - Parameters:
  ///   - segments: the stage's data; their activations enter `lowestLayer`.
  ///   - stepCount: overrides the recipe's epochs; the order goes on cycling through epochs.
  ///   - order: the records of one epoch, counted from zero, in the order they are read.
  ///   - onStep: called after each step; what it throws ends training.
  package func train<Failure: Error>(
    on segments: [TrainingSegment], stepCount: Int? = nil,
    order: (_ epoch: Int) -> [RecordPosition],
    onStep: (TrainingProgress) throws(Failure) -> Void
  ) throws -> TrainedBlock {
    try check(segments)
    var epoch = 0
    var positions = order(0)
    let batchSize = max(recipe.batchSize, 1)
    let batchCount = (positions.count + batchSize - 1) / batchSize
    let total = positions.isEmpty ? 0 : stepCount ?? recipe.epochs * batchCount
    if total > optimizer.stepsDone {
      try check(positions, in: segments)
      let memory = prepare(segments, batchSize: batchSize)
      let factors = LearningRateFactors(
        schedule: recipe.schedule, warmup: recipe.warmup, totalStepCount: total)
      for step in optimizer.stepsDone..<total {
        if step / batchCount != epoch {
          epoch = step / batchCount
          positions = order(epoch)
          try check(positions, in: segments)
          precondition((positions.count + batchSize - 1) / batchSize == batchCount)
        }
        let start = step % batchCount * batchSize
        let batch = positions[start..<min(start + batchSize, positions.count)]
        let loss = try takeStep(batch, segments, memory, factor: factors.factor(atStep: step))
        try onStep(TrainingProgress(step: step, totalStepCount: total, loss: loss))
      }
    }
    // The last step has no loss after it that would show a number lost.
    guard parameters.array.allSatisfy(\.isFinite) else {
      throw TrainingError.notFinite(step: optimizer.stepsDone)
    }
    let (adapters, head) = current
    return TrainedBlock(adapters: adapters, head: head, losses: losses, statistics: statistics)
  }

  /// One batch forward, backward and applied; the loss before the step.
  func takeStep(
    _ batch: ArraySlice<RecordPosition>, _ segments: [TrainingSegment], _ memory: StepMemory,
    factor: Double
  ) throws(TrainingError) -> Double {
    let start = profileNanoseconds()
    gemm.resetProfile()
    let loss = lossAndGradients(batch, segments, memory)
    guard loss.isFinite else { throw .notFinite(step: optimizer.stepsDone) }
    applyStep(factor: factor)
    losses.append(loss)
    statistics.steps += 1
    statistics.examples += batch.count
    statistics.tokens += batch.reduce(0) {
      $0 + segments[$1.segment].activations.length($1.index)
    }
    statistics.seconds += Double(profileNanoseconds() - start) / 1e9
    statistics.gemmSeconds += Double(gemm.nanoseconds) / 1e9
    statistics.floatingPointOperations += Double(gemm.operationCount)
    return loss
  }

  func check(_ segments: [TrainingSegment]) throws(TrainingError) {
    for segment in segments {
      guard segment.activations.layer == lowestLayer,
        segment.activations.width == encoder.shape.hidden
      else {
        throw .wrongActivations(
          expectedLayer: lowestLayer, foundLayer: segment.activations.layer)
      }
      for target in segment.targets where !recipe.admits(target) {
        throw .unknownTarget(target, labelCount: recipe.labels.count)
      }
    }
  }

  func check(_ positions: [RecordPosition], in segments: [TrainingSegment]) throws(TrainingError) {
    for position in positions {
      guard segments.indices.contains(position.segment),
        segments[position.segment].targets.indices.contains(position.index)
      else { throw .unknownRecord(position) }
    }
  }

  /// Memory for any batch of these segments; taken again only if they need more.
  func prepare(_ segments: [TrainingSegment], batchSize: Int) -> StepMemory {
    var lengths: [Int] = []
    for segment in segments {
      for record in segment.targets.indices { lengths.append(segment.activations.length(record)) }
    }
    lengths.sort(by: >)
    let heaviest = lengths.prefix(batchSize)
    let longest = heaviest.first ?? 0
    let tokens = min(heaviest.reduce(0, +), max(BatchBounds.partTokenCount, longest))
    let bounds = BatchBounds(
      tokens: tokens, scores: tokens * encoder.shape.heads * Kernels.paddedWidth(longest),
      longest: longest)
    let memory: StepMemory
    if let old = self.memory, old.batchSize >= batchSize, old.bounds.tokens >= bounds.tokens,
      old.bounds.scores >= bounds.scores, old.bounds.longest >= bounds.longest
    {
      memory = old
    } else {
      memory = StepMemory(self, bounds: bounds, batchSize: batchSize)
      self.memory = memory
    }
    memory.pooled = upperLayers.isEmpty ? segments.map { $0.activations.pooled(by: encoder) } : []
    return memory
  }
}
