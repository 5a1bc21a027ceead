import CoordinatorCore
import Hashing
import ModelFormats
import ServiceSupport
import Training
import Unlearning

/// Trains one block from everything its key names, and from nothing else.
package struct StageTraining: Sendable {
  private let model: LoadedModel
  private let recipe: TrainingRecipe
  /// Keeps the frozen prefix's activations between leases.
  private let memory: RecordMemory

  package init(model: LoadedModel, recipe: TrainingRecipe, memory: RecordMemory) {
    self.model = model
    self.recipe = recipe
    self.memory = memory
  }

  /// - Parameters:
  ///   - slices: digest and records of every slice read, in the assignment's order.
  ///   - ancestors: artifacts of the stages before, first stage first.
  ///   - beforeSlice: called before a slice's prefix is computed; what it throws ends the training.
  ///   - onStep: called after every step; what it throws ends the training.
  package func train(
    _ assignment: BlockAssignment, slices: [(digest: Digest, records: [Record])],
    ancestors: [[UInt8]], for use: RecordMemory.Use, beforeSlice: () throws -> Void,
    onStep: (TrainingProgress) throws -> Void
  ) throws -> (artifact: [UInt8], work: TrainingWork) {
    let parents = try ancestors.map { try BlockArtifact.decode($0, recipe) }
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
    let trainer = try BlockTrainer(
      encoder: model.encoder, recipe: recipe, layers: Array(assignment.layers),
      frozenAdapters: parents.flatMap(\.adapters), head: parents.last?.head, seed: assignment.seed)
    let segments = try slices.map { slice in
      try beforeSlice()
      return try segment(slice.records, slice.digest, trainer.lowestLayer, for: use)
    }
    let positions = slices.indices.flatMap { segment in
      slices[segment].records.indices.map { RecordPosition(segment: segment, index: $0) }
    }
    let block = try trainer.train(
      on: segments,
      order: { epoch in
        EpochOrder.positions(of: records.map(\.id.bytes), seed: assignment.seed, epoch: epoch)
          .map { positions[$0] }
      }, onStep: onStep)
    let statistics = block.statistics
    return (
      BlockArtifact.encode(block.adapters, block.head, recipe),
      TrainingWork(
        steps: UInt64(statistics.steps), examples: UInt64(statistics.examples),
        seconds: statistics.seconds, gemmSeconds: statistics.gemmSeconds,
        finalLoss: block.losses.last ?? 0)
    )
  }

  /// A slice's records as the block's lowest layer sees them. A cache hit has the bits a miss would
  /// compute, since both come from the same segment alone.
  private func segment(
    _ records: [Record], _ digest: Digest, _ layer: Int, for use: RecordMemory.Use
  ) throws -> TrainingSegment {
    let key = RecordMemory.SegmentKey(slice: digest, layer: layer)
    if let known = memory.segment(key) { return known }
    let labels = try records.map { record in
      guard let label = recipe.labels.firstIndex(of: record.label) else {
        throw ServiceError(.badData, "a record's label is not in the recipe")
      }
      return label
    }
    let sequences = records.map {
      model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
    }
    let segment = TrainingSegment(
      labels: labels, activations: try model.encoder.activations(of: sequences, below: layer))
    memory.keep(segment, key, for: use)
    return segment
  }
}
