internal import Numerics
internal import Unlearning

/// All memory a step needs, taken once for the largest batch there can be.
final class StepMemory {
  let pass: LayerPass
  /// One per layer that runs.
  let buffers: [LayerBuffers]
  /// (tokens, hidden): what enters each running layer, and what leaves the last. A layer writes
  /// its output over an input that no adapter reads again.
  let rows: [FloatBuffer]
  let gradient: FloatBuffer
  let head: HeadLoss
  let loras: [LayerLoRA?]
  var layout: TokenLayout
  var targets: [Target] = []
  let bounds: BatchBounds
  let batchSize: Int
  /// (records, width) a segment, where only the head is trained.
  var pooled: [FloatBuffer] = []

  init(
    _ trainer: BlockTrainer, bounds: BatchBounds, batchSize: Int
  ) {
    let shape = trainer.encoder.shape
    let running = trainer.lowestLayer..<trainer.encoder.layerCount
    let rank = trainer.recipe.rank
    // A head alone reads pooled vectors; no layer runs.
    let bounds = running.isEmpty ? BatchBounds(tokens: 0, scores: 0, longest: 0) : bounds
    let scratch = Scratch(shape, bounds, rank: rank, forBackward: true)
    pass = LayerPass(shape: shape, gemm: trainer.gemm, scratch: scratch)
    loras = running.map { layer in
      trainer.layout.lora(
        layer, parameters: trainer.parameters, gradients: trainer.gradients, scale: trainer.scale)
    }
    buffers = loras.map { lora in
      LayerBuffers(shape, bounds, lora: lora, scratch: scratch, keeping: true)
    }
    func takeRows() -> FloatBuffer { FloatBuffer(count: bounds.tokens * shape.hidden) }
    var rows = [takeRows()]
    for lora in loras { rows.append(lora?.input.isEmpty == false ? takeRows() : rows.last!) }
    self.rows = rows
    gradient = FloatBuffer(count: bounds.tokens * shape.hidden)
    head = HeadLoss(
      labelCount: trainer.recipe.labels.count, width: shape.hidden, batchSize: batchSize)
    layout = TokenLayout(heads: shape.heads, recordCapacity: batchSize)
    targets.reserveCapacity(batchSize)
    self.bounds = bounds
    self.batchSize = batchSize
  }
}
