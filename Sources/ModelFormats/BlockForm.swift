package import Unlearning

/// What the bytes of a trained block must be, to the last one but for the numbers themselves.
///
/// A run's recipe and the widths of its backbone decide which tensors a block of some layers has,
/// and so the whole header of its file; only finite values are free. Whoever holds bytes against
/// this needs no arithmetic of models, and what passes can be loaded by every worker.
///
/// - SeeAlso: `Protocols/wire.md`, "What an artifact is".
package struct BlockForm: Equatable, Sendable {
  package let targets: [ProjectionTarget]
  package let rank: Int
  package let labelCount: Int
  package let hiddenSize: Int
  package let intermediateSize: Int

  package init(_ recipe: TrainingRecipe, _ configuration: EncoderConfiguration) {
    targets = recipe.targets
    rank = recipe.rank
    labelCount = recipe.labels.count
    hiddenSize = configuration.hiddenSize
    intermediateSize = configuration.intermediateSize
  }

  /// One of a block's tensors, all of which are F32.
  package struct Tensor: Equatable, Sendable {
    package let name: String
    package let shape: [Int]

    package var valueCount: Int { shape.reduce(1, *) }
  }

  /// What a stage over some layers leaves behind, in the order of the file.
  ///
  /// - Parameter layers: none for a stage that reads no records: it hands on a head alone.
  package func tensors(layers: Range<Int>) -> [Tensor] {
    var tensors: [Tensor] = []
    for layer in layers {
      for target in targets {
        let place = AdapterPlace(layer: layer, target: target)
        let path = PEFTAdapter.root + PEFTAdapter.modulePath(of: place, .bert)
        let (inputs, outputs) = widths(of: target)
        tensors.append(Tensor(name: path + ".lora_A.weight", shape: [rank, inputs]))
        tensors.append(Tensor(name: path + ".lora_B.weight", shape: [outputs, rank]))
      }
    }
    return (tensors + headTensors).sorted { SafetensorsWriter.precedes($0.name, $1.name) }
  }

  var headTensors: [Tensor] {
    let path = PEFTAdapter.root + EncoderArchitecture.bert.headPath
    return [
      Tensor(name: path + ".bias", shape: [labelCount]),
      Tensor(name: path + ".weight", shape: [labelCount, hiddenSize]),
    ]
  }

  private func widths(of target: ProjectionTarget) -> (inputs: Int, outputs: Int) {
    switch target {
    case .query, .key, .value, .attentionOutput: (hiddenSize, hiddenSize)
    case .intermediate: (hiddenSize, intermediateSize)
    case .output: (intermediateSize, hiddenSize)
    }
  }

  /// How long the file of a block is: known before a byte of it has come.
  package func byteCount(layers: Range<Int>) -> Int {
    let tensors = tensors(layers: layers)
    return SafetensorsWriter.header(tensors.map { ($0.name, $0.shape) }).count
      + tensors.reduce(0) { $0 + 4 * $1.valueCount }
  }

  /// The file of a block with these values.
  ///
  /// - Parameter value: by tensor and place in it; finite.
  package func encode(layers: Range<Int>, value: (_ tensor: Tensor, _ index: Int) -> Float)
    -> [UInt8]
  {
    SafetensorsWriter.encode(
      tensors(layers: layers).map { tensor in
        NamedTensor(
          name: tensor.name, shape: tensor.shape,
          values: (0..<tensor.valueCount).map { value(tensor, $0) })
      })
  }
}
