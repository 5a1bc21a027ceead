package import ModelFormats
internal import Numerics
import Tokenization
internal import Unlearning

/// An encoder with frozen adapters folded in, ready to be asked.
///
/// Folding takes about a millisecond a layer and copies only the weights it changes.
///
/// - Note: `@unchecked Sendable`: read-only after `init`.
package final class AdaptedEncoder: @unchecked Sendable {
  package let encoder: Encoder
  let layers: [LayerWeights]
  /// Below it, layers are the encoder's own; the number of layers without any adapter.
  package let lowestAdaptedLayer: Int

  /// Checks every adapter's layer and shape, and that no projection has two.
  package init(_ encoder: Encoder, adapters: [Adapter]) throws(TrainingError) {
    self.encoder = encoder
    try encoder.check(adapters)
    lowestAdaptedLayer = adapters.map(\.layer).min() ?? encoder.layerCount
    let gemm = GEMM()
    layers = encoder.layers.enumerated().map { index, weights in
      weights.merging(adapters.filter { $0.layer == index }, encoder.shape, gemm)
    }
  }
}

extension Encoder {
  /// This encoder with frozen adapters; they may sit in any layer.
  package func adapted(by adapters: [Adapter]) throws(TrainingError) -> AdaptedEncoder {
    try AdaptedEncoder(self, adapters: adapters)
  }

  func check(_ adapters: [Adapter]) throws(TrainingError) {
    let sorted = adapters.sorted { $0.place < $1.place }
    for (index, adapter) in sorted.enumerated() {
      guard (0..<layerCount).contains(adapter.layer) else {
        throw .unknownLayer(adapter.layer, layerCount: layerCount)
      }
      if index > 0, sorted[index - 1].place == adapter.place {
        throw .conflictingAdapters(adapter.place)
      }
      let (outputs, inputs) = shape.size(of: adapter.target)
      guard adapter.inputCount == inputs, adapter.outputCount == outputs else {
        throw .wrongAdapterShape(
          adapter.place, expected: [outputs, inputs],
          found: [adapter.outputCount, adapter.inputCount])
      }
    }
  }

  /// Checks lengths, ids and types against the tables.
  package func check(_ sequences: [TokenSequence]) throws(TrainingError) {
    let limit = configuration.longestSequence
    for (index, sequence) in sequences.enumerated() {
      guard sequence.count > 0, sequence.count <= limit else {
        throw .sequenceLength(index: index, found: sequence.count, limit: limit)
      }
      for id in sequence.ids where id < 0 || Int(id) >= configuration.vocabularySize {
        throw .unknownToken(index: index, id: id)
      }
      for id in sequence.typeIDs where id < 0 || Int(id) >= configuration.tokenTypeCount {
        throw .unknownToken(index: index, id: id)
      }
    }
  }

  func check(_ head: ClassifierHead, labelCount: Int) throws(TrainingError) {
    let hidden = configuration.hiddenSize
    guard head.labelCount == labelCount, head.hiddenSize == hidden else {
      throw .wrongHeadShape(
        expected: [labelCount, hidden], found: [head.labelCount, head.hiddenSize])
    }
  }
}
