internal import Hashing
internal import ModelFormats
internal import Numerics
import Tokenization
internal import Unlearning

/// Measures how fast texts are classified, by one model and by an ensemble that shares its lower
/// layers; on made-up tokens, with the lengths of `TrainingBenchmark.cases`.
package struct ServingBenchmark {
  package struct Shape: Sendable, Equatable {
    package var memberCount: Int
    /// Layers from the top with adapters.
    package var depth: Int
    package var isShared: Bool

    package init(memberCount: Int, depth: Int, isShared: Bool) {
      self.memberCount = memberCount
      self.depth = depth
      self.isShared = isShared
    }
  }

  package struct Measurement: Sendable {
    /// Of each batch.
    package var batchSeconds: [Double]
    /// Of each text asked for alone.
    package var textSeconds: [Double]
    /// Of the batches' time, what passed inside matrix products.
    package var gemmShare: Double
    package var gigaflopsPerSecond: Double
    /// All logits of the first batch, for comparing bits.
    package var logits: [[[Float]]]
  }

  package static let batchSize = TrainingBenchmark.batchSize

  private let encoder: Encoder

  package init(_ encoder: Encoder) {
    self.encoder = encoder
  }

  /// Asks for whole batches, then for single texts, each kind after one that warms the caches.
  ///
  /// - Parameter lengths: tokens of each text, a number of whole batches.
  package func measure(_ shape: Shape, lengths: [Int]) throws(TrainingError) -> Measurement {
    let texts = tokens(lengths)
    let members = try members(shape)
    let memory = ForwardMemory(encoder)
    var result = Measurement(
      batchSeconds: [], textSeconds: [], gemmShare: 0, gigaflopsPerSecond: 0, logits: [])
    func ask(_ texts: ArraySlice<TokenSequence>) throws(TrainingError) -> Double {
      let start = profileNanoseconds()
      let logits = try encoder.logits(
        of: Array(texts), members: members, memory: memory, sharing: shape.isShared)
      let seconds = Double(profileNanoseconds() - start) / 1e9
      if result.logits.isEmpty { result.logits = logits }
      return seconds
    }
    _ = try ask(texts.prefix(Self.batchSize))
    memory.gemm.resetProfile()
    for start in stride(from: 0, to: texts.count, by: Self.batchSize) {
      result.batchSeconds.append(
        try ask(texts[start..<min(start + Self.batchSize, texts.count)]))
    }
    let seconds = result.batchSeconds.reduce(0, +)
    result.gemmShare = Double(memory.gemm.nanoseconds) / 1e9 / seconds
    result.gigaflopsPerSecond = Double(memory.gemm.operationCount) / 1e9 / seconds
    let count = min(texts.count, 2 * Self.batchSize)
    _ = try ask(texts.prefix(1))
    for index in 0..<count { result.textSeconds.append(try ask(texts[index..<index + 1])) }
    return result
  }

  private func tokens(_ lengths: [Int]) -> [TokenSequence] {
    var generator = SeededGenerator(seed: 23)
    let vocabulary = UInt64(encoder.configuration.vocabularySize)
    return lengths.map { length in
      TokenSequence(ids: (0..<length).map { _ in Int32(generator.next() % vocabulary) })
    }
  }

  /// Rank 16 on query and value, as in training.
  private func members(_ shape: Shape) throws(TrainingError) -> [EnsembleMember] {
    var generator = SeededGenerator(seed: 24)
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in (generator.nextUnitFloat() - 0.5) * 0.01 }
    }
    let lowest = encoder.layerCount - shape.depth
    guard (0..<encoder.layerCount).contains(lowest) else {
      throw .unknownLayer(lowest, layerCount: encoder.layerCount)
    }
    var members: [EnsembleMember] = []
    for _ in 0..<shape.memberCount {
      var adapters: [Adapter] = []
      for layer in lowest..<encoder.layerCount {
        for target in [ProjectionTarget.query, .value] {
          let (outputs, inputs) = encoder.shape.size(of: target)
          adapters.append(
            Adapter(
              layer: layer, target: target, rank: 16, scale: 2, a: values(16 * inputs),
              b: values(outputs * 16)))
        }
      }
      let width = encoder.configuration.hiddenSize
      let head = ClassifierHead(weight: values(2 * width), bias: values(2))
      members.append(EnsembleMember(encoder: try encoder.adapted(by: adapters), head: head))
    }
    return members
  }
}
