import CoordinatorCore
import Hashing
import ModelFormats
import ServiceSupport
import Tokenization
import Training
import Unlearning
import WorkerCore

/// Trains one block from everything its key names, and from nothing else.
package struct StageTraining: Sendable {
  private let model: LoadedModel
  private let recipe: TrainingRecipe
  /// Keeps the frozen prefix's activations between leases.
  private let memory: RecordMemory
  /// What a stage may hold of its own records' activations.
  private let byteLimit: Int

  /// Less would only make stages run their frozen layers over and over.
  package static let smallestByteLimit = 64 << 20

  /// - Parameter byteLimit: default: as much as the memory may keep, or `smallestByteLimit`.
  package init(
    model: LoadedModel, recipe: TrainingRecipe, memory: RecordMemory, byteLimit: Int? = nil
  ) {
    self.model = model
    self.recipe = recipe
    self.memory = memory
    self.byteLimit = byteLimit ?? max(memory.segmentByteLimit, Self.smallestByteLimit)
  }

  /// - Parameters:
  ///   - beforeSlice: called before a slice's prefix is computed; what it throws ends the training.
  ///   - onStep: called after every step with a way to take a checkpoint; what it throws ends the
  ///     training.
  package func train(
    _ task: TrainingTask, for use: RecordMemory.Use, beforeSlice: () throws -> Void,
    onStep: (TrainingProgress, _ checkpoint: () -> [UInt8]) throws -> Void
  ) throws -> (artifact: [UInt8], work: TrainingWork) {
    let (assignment, slices) = (task.assignment, task.slices)
    // A layer range is a pair of numbers that anyone may write; a list of it takes memory.
    guard assignment.layers.upperBound <= model.encoder.layerCount else {
      throw TrainingError.unknownLayer(
        assignment.layers.upperBound - 1, layerCount: model.encoder.layerCount)
    }
    let parents = try task.ancestors.map { try BlockArtifact.decode($0, recipe) }
    let records = slices.flatMap(\.records)
    guard !records.isEmpty else {
      // X6: with nothing to read, the stage hands its parent's head on and adds no adapter.
      let head =
        parents.last?.head
        ?? .zero(
          labelCount: recipe.labels.count, hiddenSize: model.files.configuration.hiddenSize)
      return (
        BlockArtifact.encode([], head, recipe),
        TrainingWork(steps: 0, examples: 0, seconds: 0, gemmSeconds: 0, finalLoss: 0)
      )
    }
    guard recipe.startingAdapter == model.startingAdapter?.digest else {
      throw ServiceError(
        .configuration, "this worker has another starting adapter than the run",
        try: "start it with the run's own: --starting-adapter DIR")
    }
    let trainer = try BlockTrainer(
      encoder: model.encoder, recipe: recipe, layers: Array(assignment.layers),
      frozenAdapters: parents.flatMap(\.adapters),
      initialAdapters: model.startingAdapter?.adapter.adapters.filter {
        assignment.layers.contains($0.layer)
      } ?? [], head: parents.last?.head, seed: assignment.seed,
      rateFactor: parents.reduce(1) { factor, _ in factor * recipe.stageRateFactor })
    // A stage without records hands on a head that was never trained.
    let startsHead =
      recipe.headStart == .closedForm
      && parents.allSatisfy { $0.adapters.isEmpty && $0.head?.isZero ?? true }
    let positions = slices.indices.flatMap { segment in
      slices[segment].records.indices.map { RecordPosition(segment: segment, index: $0) }
    }
    func order(_ epoch: Int) -> [RecordPosition] {
      EpochOrder.positions(of: records.map(\.id.bytes), seed: assignment.seed, epoch: epoch)
        .map { positions[$0] }
    }
    func report(_ progress: TrainingProgress) throws {
      try onStep(progress) { trainer.checkpoint.encoded(for: assignment.key) }
    }
    let firstStep = restore(task, in: trainer, recordCount: records.count)
    let block: TrainedBlock
    var (keptCount, computedCount) = (0, 0)
    if let stage = try windowedStage(slices, entering: trainer.lowestLayer) {
      func known(_ slice: Int) -> PrefixActivations? {
        memory.nearestSegment(notAbove: stage.key(ofSlice: slice))?.activations
      }
      if startsHead, firstStep == 0 {
        try stage.startHead(of: trainer, order: order(0), known: known, beforeSlice: beforeSlice)
      }
      block = try stage.train(
        trainer, from: firstStep, order: order, known: known, beforeSlice: beforeSlice,
        onStep: report)
      computedCount = slices.count
    } else {
      let lower = lowerLayers(assignment, below: trainer.lowestLayer)
      let segments = try slices.map { slice in
        try beforeSlice()
        if let known = kept(slice, entering: trainer.lowestLayer, for: use) {
          keptCount += 1
          return known
        }
        if trainer.lowestLayer > 0 { computedCount += 1 }
        return try segment(slice, entering: trainer.lowestLayer, alsoKeeping: lower, for: use)
      }
      if startsHead, firstStep == 0 {
        try trainer.observe(order(0), in: segments)
        trainer.startHead()
      }
      block = try trainer.train(on: segments, order: order, onStep: report)
    }
    let statistics = block.statistics
    return (
      BlockArtifact.encode(block.adapters, block.head, recipe),
      // Counts follow from the plan, and what else a checkpoint says it took may be anybody's word:
      // it must not make the coordinator refuse the block.
      TrainingWork(
        steps: UInt64(recipe.stepCount(recordCount: records.count)),
        examples: UInt64(recipe.exampleCount(recordCount: records.count)),
        seconds: statistics.seconds, gemmSeconds: statistics.gemmSeconds,
        finalLoss: block.losses.last ?? 0, slicesKept: UInt32(keptCount),
        slicesComputed: UInt32(computedCount)
      ).bounded
    )
  }

  /// Goes on from the task's checkpoint. One that cannot be of this stage is left alone: training
  /// from the beginning gives the same bits.
  ///
  /// - Returns: the step to go on with.
  private func restore(_ task: TrainingTask, in trainer: BlockTrainer, recordCount: Int) -> Int {
    guard let bytes = task.checkpoint,
      let checkpoint = try? TrainingCheckpoint(encoded: bytes, for: task.assignment.key)
    else { return 0 }
    let stepCount = recipe.stepCount(recordCount: recordCount)
    guard checkpoint.stepsDone <= stepCount, (try? trainer.restore(checkpoint)) != nil else {
      return 0
    }
    return checkpoint.stepsDone
  }

  /// The stage in windows, if its activations would be more than it may hold.
  private func windowedStage(_ slices: [TrainingTask.Slice], entering layer: Int) throws
    -> WindowedStage?
  {
    // A token is at least a byte of its text, and three are added; a look at the texts is faster
    // than reading them.
    let mostTokens = slices.reduce(0) { sum, slice in
      slice.records.reduce(sum) { sum, record in
        let byteCount = record.text.utf8.count + (record.textPair?.utf8.count ?? 0)
        return sum + min(byteCount + 3, recipe.maximumTokens)
      }
    }
    guard mostTokens * model.encoder.rowByteCount > byteLimit else { return nil }
    let sequences = slices.map { $0.records.map(tokens) }
    let tokenCount = sequences.joined().reduce(0) { $0 + $1.count }
    guard tokenCount * model.encoder.rowByteCount > byteLimit else { return nil }
    return WindowedStage(
      model: model, slices: slices, targets: try slices.map { try $0.records.map(target) },
      sequences: sequences, layer: layer, batchSize: max(recipe.batchSize, 1),
      epochCount: recipe.epochs, byteLimit: byteLimit)
  }

  private func tokens(_ record: Record) -> TokenSequence {
    model.tokens(record.text, pair: record.textPair, maximumTokens: recipe.maximumTokens)
  }

  private func target(_ record: Record) throws -> Target {
    guard let target = recipe.target(record.label) else {
      throw ServiceError(.badData, "a record's label is not in the recipe")
    }
    return target
  }

  /// Where later stages of the sequence will begin, the next one first.
  private func lowerLayers(_ assignment: BlockAssignment, below layer: Int) -> [Int] {
    // A head alone reads what leaves the last layer, in every stage.
    guard layer == assignment.layers.lowerBound else { return [] }
    return RunPlan.stageStarts(
      after: assignment.slot.stage, layers: assignment.layers,
      layerCount: model.encoder.layerCount)
  }

  /// A slice's records as a layer sees them, if they are still there from before.
  private func kept(
    _ slice: TrainingTask.Slice, entering layer: Int, for use: RecordMemory.Use
  ) -> TrainingSegment? {
    // What enters the first layer is looked up faster than it is worth keeping.
    guard layer > 0 else { return nil }
    return memory.segment(RecordMemory.SegmentKey(slice: slice.digest, layer: layer), for: use)
  }

  /// The same, made anew.
  ///
  /// A cache hit has the bits a miss would compute, wherever that would begin, since both come from
  /// the same segment alone. What a miss passes on its way up and later stages want is kept, too.
  private func segment(
    _ slice: TrainingTask.Slice, entering layer: Int, alsoKeeping lower: [Int],
    for use: RecordMemory.Use
  ) throws -> TrainingSegment {
    let (records, key) = (
      slice.records, RecordMemory.SegmentKey(slice: slice.digest, layer: layer)
    )
    let (targets, sequences) = (try records.map(target), records.map(tokens))
    let known = memory.nearestSegment(notAbove: key)?.activations
    let tokenCount = sequences.reduce(0) { $0 + $1.count }
    let room = memory.segmentByteLimit / max(model.encoder.rowByteCount * tokenCount, 1)
    let kept = lower.prefix(max(room - 1, 0)).filter { $0 > max(known?.layer ?? 0, 0) }
    let found = try model.encoder.activations(
      of: sequences, entering: kept.reversed() + [layer], above: known)
    let segments = found.map { TrainingSegment(targets: targets, activations: $0) }
    for segment in segments where segment.activations.layer > 0 {
      memory.keep(
        segment,
        RecordMemory.SegmentKey(slice: slice.digest, layer: segment.activations.layer), for: use)
    }
    return segments[segments.count - 1]
  }
}
