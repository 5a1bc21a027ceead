internal import Hashing
internal import ModelFormats
internal import Numerics
import Tokenization
internal import Unlearning

/// Measures training speed on made-up tokens: one layer a stage, LoRA on query and value, rank 16.
///
/// Token values do not change the time a step takes, lengths do; both come from a fixed seed.
package struct TrainingBenchmark {
  /// A mix of record lengths.
  package struct Case: Sendable, Equatable {
    package var name: String
    package var explanation: String
    /// `nil` for log-normal lengths from 8 to 64 with a mean near 26.
    package var length: Int?
  }

  package struct Measurement: Sendable {
    package var caseName: String
    /// 1 for the top layer.
    package var stage: Int
    package var statistics: TrainingStatistics
    /// What the frozen layers below cost, once for all records of the measured steps.
    package var prefixSeconds: Double
    package var realTokenShare: Double

    /// With the prefix in the cache, as training runs after its first epoch.
    package var examplesPerSecond: Double { statistics.examplesPerSecond }
    /// With the prefix computed anew in every epoch.
    package var uncachedExamplesPerSecond: Double {
      Double(statistics.examples) / (statistics.seconds + prefixSeconds)
    }
  }

  package static let cases = [
    Case(name: "a", explanation: "32 records of 128 tokens", length: 128),
    Case(name: "b", explanation: "32 records of 64 tokens", length: 64),
    Case(name: "c", explanation: "32 records of 8 to 64 tokens, log-normal", length: nil),
    Case(name: "d", explanation: "32 records of 32 tokens", length: 32),
  ]

  package static let batchSize = 32

  let encoder: Encoder

  package init(_ encoder: Encoder) {
    self.encoder = encoder
  }

  /// The lengths of a case's records, the same for everyone who asks.
  package static func lengths(_ benchmark: Case, count: Int) -> [Int] {
    var generator = SeededGenerator(seed: 20)
    return (0..<count).map { _ in
      if let length = benchmark.length { return length }
      // Twelve uniform numbers less six are close to normal, without a library function.
      let normal = (0..<12).reduce(Float(-6)) { sum, _ in sum + generator.nextUnitFloat() }
      return min(max(Int((22.945 * Elementary.exp(0.5 * normal)).rounded()), 8), 64)
    }
  }

  /// What one BLAS thread gives at the shape a step spends most of its time in: GFLOP/s, the median
  /// of some products of 4,096 tokens with the feed-forward weights.
  package func productRate() -> Double {
    let (tokens, shape, repetitions) = (4096, encoder.shape, 9)
    let x = FloatBuffer(count: tokens * shape.hidden)
    let out = FloatBuffer(count: tokens * shape.inner)
    for index in 0..<x.count { x.pointer[index] = Float(index % 17) - 8 }
    let gemm = GEMM()
    var rates: [Double] = []
    for _ in 0...repetitions {
      gemm.resetProfile()
      gemm.multiply(
        .transposedRight, m: tokens, n: shape.inner, k: shape.hidden, x.pointer, shape.hidden,
        encoder.layers[0].intermediate, shape.hidden, into: out.pointer, shape.inner)
      rates.append(Double(gemm.operationCount) / Double(gemm.nanoseconds))
    }
    return rates.dropFirst().sorted()[repetitions / 2]
  }

  /// Trains the layer `stage` from the top for a number of steps after one that warms the caches.
  ///
  /// Layers above carry frozen adapters, as in an S3T chain.
  package func measure(_ benchmark: Case, stage: Int, stepCount: Int) throws(TrainingError)
    -> Measurement
  {
    let layer = encoder.layerCount - stage
    guard (0..<encoder.layerCount).contains(layer) else {
      throw .unknownLayer(layer, layerCount: encoder.layerCount)
    }
    let lengths = Self.lengths(benchmark, count: stepCount * Self.batchSize)
    let sequences = tokens(lengths)
    let recipe = TrainingRecipe(labels: ["0", "1"], rank: 16, alpha: 32, batchSize: Self.batchSize)
    let trainer = try BlockTrainer(
      encoder: encoder, recipe: recipe, layers: [layer],
      frozenAdapters: frozenAdapters(recipe, above: layer), seed: 1)
    let start = profileNanoseconds()
    let activations = try encoder.activations(of: sequences, below: layer)
    let prefixSeconds = Double(profileNanoseconds() - start) / 1e9
    let segment = TrainingSegment(
      targets: lengths.indices.map { .label($0 % 2) }, activations: activations)
    let order = lengths.indices.map { RecordPosition(segment: 0, index: $0) }
    // The first steps touch fresh memory; a training run has thousands behind it.
    trainer.step(Array(order.prefix(Self.batchSize)), of: [segment])
    trainer.statistics = TrainingStatistics()
    for batch in stride(from: 0, to: order.count, by: Self.batchSize) {
      trainer.step(Array(order[batch..<batch + Self.batchSize]), of: [segment])
    }
    let padded = stride(from: 0, to: lengths.count, by: Self.batchSize).reduce(0) {
      $0 + Self.batchSize * (lengths[$1..<$1 + Self.batchSize].max() ?? 0)
    }
    return Measurement(
      caseName: benchmark.name, stage: stage, statistics: trainer.statistics,
      prefixSeconds: prefixSeconds,
      realTokenShare: Double(lengths.reduce(0, +)) / Double(max(padded, 1)))
  }

  func tokens(_ lengths: [Int]) -> [TokenSequence] {
    var generator = SeededGenerator(seed: 21)
    let vocabulary = UInt64(encoder.configuration.vocabularySize)
    return lengths.map { length in
      TokenSequence(ids: (0..<length).map { _ in Int32(generator.next() % vocabulary) })
    }
  }

  private func frozenAdapters(_ recipe: TrainingRecipe, above layer: Int) -> [Adapter] {
    var generator = SeededGenerator(seed: 22)
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in (generator.nextUnitFloat() - 0.5) * 0.01 }
    }
    var adapters: [Adapter] = []
    for upper in layer + 1..<max(encoder.layerCount, layer + 1) {
      for target in recipe.targets {
        let (outputs, inputs) = encoder.shape.size(of: target)
        adapters.append(
          Adapter(
            layer: upper, target: target, rank: recipe.rank, scale: Float(recipe.adapterScale),
            a: values(recipe.rank * inputs), b: values(outputs * recipe.rank)))
      }
    }
    return adapters
  }
}

extension BlockTrainer {
  /// One step at the recipe's full rates, for measuring.
  fileprivate func step(_ batch: [RecordPosition], of segments: [TrainingSegment]) {
    let memory = prepare(segments, batchSize: batch.count)
    _ = try? takeStep(batch[...], segments, memory, factor: 1)
  }
}
