package import ModelFormats
internal import Numerics
import Tokenization

extension AdaptedEncoder {
  /// Records go through the layers together until there are at least so many tokens: enough for
  /// full speed and few enough to stay in the cache. No bit depends on it.
  static let stretchTokenCount = 768

  /// The hidden states entering `layer`, or leaving the last if `layer` is the number of layers.
  package func activations(of sequences: [TokenSequence], below layer: Int)
    throws(TrainingError) -> PrefixActivations
  {
    try activations(of: sequences, entering: [layer])[0]
  }

  /// The hidden states entering each of some layers, from one pass through those below.
  ///
  /// A record's bits are the same in any company, in every numeric class (`RowIndependence`), and a
  /// layer's are those of a pass for it alone, wherever the pass began.
  ///
  /// - Parameters:
  ///   - layers: ascending; the number of layers stands for what leaves the last.
  ///   - known: the states of all sequences, or of more, as they enter one of the layers or one
  ///     below them all.
  ///   - places: where the sequences stand in `known`; `nil` if they are all of it, in its order.
  package func activations(
    of sequences: [TokenSequence], entering layers: [Int], above known: PrefixActivations? = nil,
    at places: [Int]? = nil
  ) throws(TrainingError) -> [PrefixActivations] {
    let lowest = known?.layer ?? 0
    for layer in layers where !(lowest...encoder.layerCount).contains(layer) {
      throw .unknownLayer(layer, layerCount: encoder.layerCount)
    }
    precondition(zip(layers, layers.dropFirst()).allSatisfy { $0 < $1 })
    try encoder.check(sequences)
    let width = encoder.shape.hidden
    var starts = [0]
    starts.reserveCapacity(sequences.count + 1)
    for sequence in sequences { starts.append(starts[starts.count - 1] + sequence.count) }
    let found = layers.map { layer in
      PrefixActivations(
        layer: layer, starts: starts, width: width,
        hidden: FloatBuffer(count: starts[sequences.count] * width))
    }
    let rows = encoder.rows
    let memory = ForwardMemory(encoder)
    for stretch in rows.stretches(of: sequences, tokenLimit: Self.stretchTokenCount) {
      let texts = rows.filled(sequences[stretch])
      let room = memory.room(for: texts)
      let hidden = room.shared.pointer
      var level = lowest
      if let known {
        hidden.update(repeating: 0, count: memory.layout.tokenCount * width)
        for (record, sequence) in stretch.enumerated() {
          let place = places?[sequence] ?? sequence
          precondition(known.length(place) == sequences[sequence].count)
          (hidden + memory.layout.starts[record] * width).update(
            from: known.hidden.pointer + known.starts[place] * width,
            count: known.length(place) * width)
        }
      } else {
        encoder.embed(texts[...], into: hidden, room.buffers)
      }
      for (place, layer) in layers.enumerated() {
        while level < layer {
          room.pass.forward(
            self.layers[level], hidden, into: hidden, memory.layout, room.buffers, lora: nil,
            keeping: false)
          level += 1
        }
        let first = starts[stretch.lowerBound]
        (found[place].hidden.pointer + first * width)
          .update(from: hidden, count: (starts[stretch.upperBound] - first) * width)
      }
    }
    return found
  }

  /// One row of logits per sequence, in their order.
  package func logits(of sequences: [TokenSequence], head: ClassifierHead)
    throws(TrainingError) -> [[Float]]
  {
    try encoder.logits(
      of: sequences, members: [EnsembleMember(encoder: self, head: head)],
      memory: ForwardMemory(encoder))[0]
  }
}

extension Encoder {
  /// Word, position and type vectors, added and normalised.
  ///
  /// Where there is a padding token, it has the position of its own number wherever it stands, and
  /// the others are numbered as if it were not there.
  func embed(
    _ sequences: ArraySlice<TokenSequence>, into rows: UnsafeMutablePointer<Float>,
    _ buffers: LayerBuffers
  ) {
    let width = shape.hidden
    var row = 0
    for sequence in sequences {
      var next = configuration.firstPosition
      for (id, type) in zip(sequence.ids, sequence.typeIDs) {
        let out = rows + row * width
        let word = embeddings.words + Int(id) * width
        var position = next
        if let padding = configuration.paddingToken, id == padding {
          position = padding
        } else {
          next += 1
        }
        if let types = embeddings.types {
          Kernels.addBias(
            out, word, bias: types + Int(type) * width, rowCount: 1, columnCount: width)
        } else {
          out.update(from: word, count: width)
        }
        Kernels.addScaled(out, embeddings.positions + position * width, factor: 1, count: width)
        row += 1
      }
    }
    Kernels.layerNorm(
      rows, rows, gain: embeddings.gain, bias: embeddings.shift,
      statistics: buffers.outputStatistics.pointer, rowCount: row, width: width,
      epsilon: shape.epsilon)
  }

  /// The hidden states of a segment entering `layer`; adapters of that layer or above do not
  /// matter.
  package func activations(
    of sequences: [TokenSequence], below layer: Int, adapters: [Adapter] = []
  ) throws(TrainingError) -> PrefixActivations {
    try adapted(by: adapters.filter { $0.layer < layer })
      .activations(of: sequences, below: layer)
  }

  /// The hidden states of a segment entering each of some layers; see `AdaptedEncoder`.
  package func activations(
    of sequences: [TokenSequence], entering layers: [Int], above known: PrefixActivations? = nil,
    at places: [Int]? = nil
  ) throws(TrainingError) -> [PrefixActivations] {
    try adapted(by: []).activations(of: sequences, entering: layers, above: known, at: places)
  }

  /// One row of logits per sequence.
  package func logits(
    of sequences: [TokenSequence], adapters: [Adapter], head: ClassifierHead
  ) throws(TrainingError) -> [[Float]] {
    try adapted(by: adapters).logits(of: sequences, head: head)
  }
}

extension ClassifierHead {
  /// In own loops: a product this small has bits that depend on the batch in BLAS.
  func logits(of mean: UnsafePointer<Float>) -> [Float] {
    let width = hiddenSize
    return weight.withUnsafeBufferPointer { weight in
      bias.indices.map { label in
        guard let base = weight.baseAddress else { return bias[label] }
        return Kernels.dot(mean, base + label * width, count: width) + bias[label]
      }
    }
  }
}
