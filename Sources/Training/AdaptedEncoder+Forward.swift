package import ModelFormats
internal import Numerics
import Tokenization

extension AdaptedEncoder {
  /// Tokens of a stretch: whole records until there are at least that many.
  ///
  /// Enough for full speed and few enough to stay in the cache. A part of the engine's version,
  /// because rows of a stretch can share rounding.
  static let stretchTokenCount = 768

  /// The hidden states entering `layer`, or leaving the last if `layer` is the number of layers.
  package func activations(of sequences: [TokenSequence], below layer: Int)
    throws(TrainingError) -> PrefixActivations
  {
    try activations(of: sequences, entering: [layer])[0]
  }

  /// The hidden states entering each of some layers, from one pass through those below.
  ///
  /// A layer's bits are those of a pass for it alone, wherever the pass began: it goes over the
  /// same stretches.
  ///
  /// - Parameters:
  ///   - layers: ascending; the number of layers stands for what leaves the last.
  ///   - known: the same sequences' states as they enter one of the layers or one below them all.
  package func activations(
    of sequences: [TokenSequence], entering layers: [Int], above known: PrefixActivations? = nil
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
    precondition(known.map { $0.starts == starts && $0.width == width } ?? true)
    let found = layers.map { layer in
      PrefixActivations(
        layer: layer, starts: starts, width: width,
        hidden: FloatBuffer(count: starts[sequences.count] * width))
    }
    forEachStretch(of: sequences, from: known, through: layers) { place, records, rows, layout in
      (found[place].hidden.pointer + starts[records.lowerBound] * width)
        .update(from: rows, count: layout.tokenCount * width)
    }
    return found
  }

  /// The hidden states of some of the sequences as they enter a layer.
  ///
  /// Computed as those of all are, over the same stretches, so to the same bits, in the memory that
  /// the wanted ones take.
  ///
  /// - Parameters:
  ///   - wanted: places among the sequences, ascending; the result has their order.
  ///   - known: all the sequences' states as they enter that layer or one below.
  package func activations(
    of sequences: [TokenSequence], only wanted: [Int], below layer: Int,
    above known: PrefixActivations? = nil
  ) throws(TrainingError) -> PrefixActivations {
    guard ((known?.layer ?? 0)...encoder.layerCount).contains(layer) else {
      throw .unknownLayer(layer, layerCount: encoder.layerCount)
    }
    try encoder.check(sequences)
    let width = encoder.shape.hidden
    var starts = [0]
    for place in wanted { starts.append(starts[starts.count - 1] + sequences[place].count) }
    let hidden = FloatBuffer(count: starts[wanted.count] * width)
    var next = 0
    func isNext(in stretch: Range<Int>) -> Bool {
      next < wanted.count && wanted[next] < stretch.upperBound
    }
    forEachStretch(of: sequences, from: known, through: [layer], where: isNext) {
      _, stretch, rows, layout in
      while isNext(in: stretch) {
        let record = wanted[next] - stretch.lowerBound
        (hidden.pointer + starts[next] * width)
          .update(from: rows + layout.starts[record] * width, count: layout.length(record) * width)
        next += 1
      }
    }
    return PrefixActivations(layer: layer, starts: starts, width: width, hidden: hidden)
  }

  /// One row of logits per sequence, in their order.
  package func logits(of sequences: [TokenSequence], head: ClassifierHead)
    throws(TrainingError) -> [[Float]]
  {
    try encoder.logits(
      of: sequences, members: [EnsembleMember(encoder: self, head: head)],
      memory: ForwardMemory(encoder))[0]
  }

  /// Runs layers over each stretch and hands over its records' rows as they enter some of them.
  ///
  /// - Parameters:
  ///   - isWanted: whether a stretch must be run at all.
  ///   - body: is told the place among `layers`, the stretch, its rows and their layout.
  private func forEachStretch(
    of sequences: [TokenSequence], from known: PrefixActivations?, through layers: [Int],
    where isWanted: (Range<Int>) -> Bool = { _ in true },
    _ body: (Int, Range<Int>, UnsafePointer<Float>, TokenLayout) -> Void
  ) {
    let (shape, stretches) = (encoder.shape, Self.stretches(sequences))
    func tokens(_ stretch: Range<Int>) -> Int { sequences[stretch].reduce(0) { $0 + $1.count } }
    let memory = ForwardMemory(encoder)
    let room = memory.room(
      tokens: stretches.map(tokens).max() ?? 0, longest: sequences.map(\.count).max() ?? 0)
    let (rows, buffers) = (room.shared, room.buffers)
    var layout = TokenLayout(heads: shape.heads)
    for stretch in stretches where isWanted(stretch) {
      layout.removeAll()
      for sequence in sequences[stretch] { layout.append(length: sequence.count) }
      var level = known?.layer ?? 0
      if let known {
        rows.pointer.update(
          from: known.hidden.pointer + known.starts[stretch.lowerBound] * shape.hidden,
          count: layout.tokenCount * shape.hidden)
      } else {
        encoder.embed(sequences[stretch], into: rows.pointer, buffers)
      }
      for (place, layer) in layers.enumerated() {
        while level < layer {
          room.pass.forward(
            self.layers[level], rows.pointer, into: rows.pointer, layout, buffers, lora: nil,
            keeping: false)
          level += 1
        }
        body(place, stretch, rows.pointer, layout)
      }
    }
  }

  /// Whole records until there are at least so many tokens, again and again.
  static func stretches(
    _ sequences: [TokenSequence], tokenCount: Int = stretchTokenCount
  ) -> [Range<Int>] {
    var stretches: [Range<Int>] = []
    var (start, tokens) = (0, 0)
    for (index, sequence) in sequences.enumerated() {
      tokens += sequence.count
      if tokens >= tokenCount {
        stretches.append(start..<index + 1)
        (start, tokens) = (index + 1, 0)
      }
    }
    if start < sequences.count { stretches.append(start..<sequences.count) }
    return stretches
  }
}

extension Encoder {
  /// Word, position and type vectors, added and normalised.
  func embed(
    _ sequences: ArraySlice<TokenSequence>, into rows: UnsafeMutablePointer<Float>,
    _ buffers: LayerBuffers
  ) {
    let width = shape.hidden
    var row = 0
    for sequence in sequences {
      for position in 0..<sequence.count {
        let out = rows + row * width
        let word = embeddings.words + Int(sequence.ids[position]) * width
        let kind = embeddings.types + Int(sequence.typeIDs[position]) * width
        let place = embeddings.positions + position * width
        Kernels.addBias(out, word, bias: kind, rowCount: 1, columnCount: width)
        Kernels.addScaled(out, place, factor: 1, count: width)
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
    of sequences: [TokenSequence], entering layers: [Int], above known: PrefixActivations? = nil
  ) throws(TrainingError) -> [PrefixActivations] {
    try adapted(by: []).activations(of: sequences, entering: layers, above: known)
  }

  /// The hidden states of some of the sequences as they enter a layer; see `AdaptedEncoder`.
  package func activations(
    of sequences: [TokenSequence], only wanted: [Int], below layer: Int,
    above known: PrefixActivations? = nil
  ) throws(TrainingError) -> PrefixActivations {
    try adapted(by: []).activations(of: sequences, only: wanted, below: layer, above: known)
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
