internal import Hashing
package import ModelFormats
internal import Numerics
package import Unlearning

/// Trains the adapters of some layers, and the head, over a frozen encoder.
///
/// The result is a function of the arguments and the numeric class alone: the same bits on every
/// run, whether activations were cached or not and whether training was resumed or not.
///
/// - Note: for one thread at a time.
package final class BlockTrainer {
  let encoder: Encoder
  let recipe: TrainingRecipe
  /// Trained layers, ascending; empty if only the head is trained.
  package let layers: [Int]
  /// The layer training begins at: its input activations are what segments must carry.
  package let lowestLayer: Int
  /// The layers that run in every step, with frozen adapters folded in.
  let upperLayers: [LayerWeights]
  let layout: ParameterLayout
  let parameters: FloatBuffer
  let gradients: FloatBuffer
  var optimizer: AdamW
  /// What the recipe's learning rates are multiplied with.
  let rateFactor: Double
  private var observed: ClosedFormHead
  var losses: [Double] = []
  var statistics = TrainingStatistics()
  let gemm = GEMM()
  var memory: StepMemory?

  /// - Parameters:
  ///   - layers: the layers that are trained; without any, only the head is.
  ///   - frozenAdapters: take part in the forward and backward pass wherever they sit.
  ///   - initialAdapters: where trained adapters start; those missing start with `a` uniform in
  ///     ±1/√inputs, drawn in canonical order from the seed, and `b` zero.
  ///   - head: where the head starts; zero if absent.
  ///   - rateFactor: what the recipe's learning rates are multiplied with.
  package init(
    encoder: Encoder, recipe: TrainingRecipe, layers: [Int], frozenAdapters: [Adapter] = [],
    initialAdapters: [Adapter] = [], head: ClassifierHead? = nil, seed: UInt64,
    rateFactor: Double = 1
  ) throws(TrainingError) {
    self.encoder = encoder
    self.recipe = recipe
    self.layers = Set(layers).sorted()
    for layer in self.layers where !(0..<encoder.layerCount).contains(layer) {
      throw .unknownLayer(layer, layerCount: encoder.layerCount)
    }
    try encoder.check(frozenAdapters)
    try encoder.check(initialAdapters)
    let start = recipe.targets.isEmpty ? encoder.layerCount : self.layers.first
    lowestLayer = start ?? encoder.layerCount
    let gemm = self.gemm
    upperLayers = (lowestLayer..<encoder.layerCount).map { layer in
      encoder.layers[layer].merging(
        frozenAdapters.filter { $0.layer == layer }, encoder.shape, gemm)
    }
    layout = ParameterLayout(
      layers: self.layers, targets: recipe.targets, rank: recipe.rank,
      labelCount: recipe.labels.count, encoder.shape)
    parameters = FloatBuffer(count: layout.count)
    gradients = FloatBuffer(count: layout.count)
    optimizer = AdamW(count: layout.count)
    self.rateFactor = rateFactor
    observed = ClosedFormHead(width: encoder.shape.hidden, recipe: recipe)
    try initialize(initialAdapters, head, seed: seed)
  }

  var scale: Float { Float(recipe.adapterScale) }

  private func initialize(_ adapters: [Adapter], _ head: ClassifierHead?, seed: UInt64)
    throws(TrainingError)
  {
    var unused = Set(adapters.map(\.place))
    var generator = SeededGenerator(seed: seed)
    for entry in layout.entries.sorted(by: { $0.place < $1.place }) {
      if let adapter = adapters.first(where: { $0.place == entry.place }) {
        guard adapter.rank == recipe.rank, adapter.scale == scale else {
          throw .wrongAdapterSetting(adapter.place)
        }
        unused.remove(adapter.place)
        write(adapter.a, at: entry.a)
        write(adapter.b, at: entry.b)
      } else {
        let bound = 1 / Float(entry.a.count / recipe.rank).squareRoot()
        for index in entry.a {
          parameters.pointer[index] = (2 * generator.nextUnitFloat() - 1) * bound
        }
      }
    }
    if let stranger = unused.sorted().first { throw .conflictingAdapters(stranger) }
    if let head {
      try encoder.check(head, labelCount: recipe.labels.count)
      write(head.weight, at: layout.headWeight)
      write(head.bias, at: layout.headBias)
    }
  }

  private func write(_ values: [Float], at range: Range<Int>) {
    for (index, value) in zip(range, values) { parameters.pointer[index] = value }
  }

  // MARK: - The head's closed form

  /// Adds records to what the head's closed form is solved from: what the encoder, as it stands,
  /// makes of them, and their targets.
  ///
  /// - Parameter positions: at most a batch at a time has its rows multiplied together, so the bits
  ///   depend on their order alone.
  package func observe(_ positions: some Collection<RecordPosition>, in segments: [TrainingSegment])
    throws(TrainingError)
  {
    try check(segments)
    try check(Array(positions), in: segments)
    let memory = prepare(segments, batchSize: max(recipe.batchSize, 1))
    var rest = Array(positions)[...]
    while !rest.isEmpty {
      let batch = rest.prefix(max(recipe.batchSize, 1))
      rest = rest.dropFirst(batch.count)
      forEachPooled(batch, segments, memory) { observed.add($0, $1) }
    }
  }

  /// Starts the head in closed form from what was observed; without any record it stays.
  package func startHead() {
    guard let head = observed.solved() else { return }
    write(head.weight, at: layout.headWeight)
    write(head.bias, at: layout.headBias)
  }

  // MARK: - Checkpoints

  package var checkpoint: TrainingCheckpoint {
    TrainingCheckpoint(
      stepsDone: optimizer.stepsDone, losses: losses, parameters: parameters.array,
      firstMoments: optimizer.first.array, secondMoments: optimizer.second.array,
      statistics: statistics)
  }

  /// Continues where a checkpoint of the same stage was taken.
  package func restore(_ checkpoint: TrainingCheckpoint) throws(TrainingError) {
    let counts = [
      checkpoint.parameters.count, checkpoint.firstMoments.count, checkpoint.secondMoments.count,
    ]
    guard counts.allSatisfy({ $0 == layout.count }), checkpoint.stepsDone >= 0,
      checkpoint.losses.count == checkpoint.stepsDone
    else { throw .foreignCheckpoint }
    write(checkpoint.parameters, at: 0..<layout.count)
    optimizer.restore(
      first: checkpoint.firstMoments, second: checkpoint.secondMoments,
      stepsDone: checkpoint.stepsDone)
    losses = checkpoint.losses
    statistics = checkpoint.statistics
  }

  /// The adapters and head as they stand.
  package var current: (adapters: [Adapter], head: ClassifierHead) {
    let (adapters, head) = layout.split(parameters, scale: scale)
    return (adapters.sorted { $0.place < $1.place }, head)
  }

  /// The gradients of the last batch, each in the place of what it is the gradient of.
  package var currentGradients: (adapters: [Adapter], head: ClassifierHead) {
    let (adapters, head) = layout.split(gradients, scale: scale)
    return (adapters.sorted { $0.place < $1.place }, head)
  }
}
