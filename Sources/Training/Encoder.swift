package import ModelFormats
internal import Numerics
internal import Unlearning

/// A frozen post-norm encoder whose weights stay where the file is mapped.
///
/// - Note: `@unchecked Sendable`: everything is read-only after `init`, and `file` keeps the
///   memory.
package final class Encoder: @unchecked Sendable {
  package let configuration: EncoderConfiguration
  let shape: LayerShape
  let embeddings: EmbeddingWeights
  let layers: [LayerWeights]
  let rows: RowIndependence
  let pooling: Pooling
  /// Whether texts share products: where that changes no bit of any.
  package var groupsTexts: Bool { rows.fewestRows != nil }
  private let file: SafetensorsFile

  /// Finds and checks every tensor the layers need; names may carry the architecture's prefix.
  ///
  /// - Parameter dense: the layer before the head where the architecture has one; default: the
  ///   checkpoint's own, or else a drawn one (`Pooling`).
  package init(
    configuration: EncoderConfiguration, weights file: SafetensorsFile, dense: DenseLayer? = nil
  ) throws(TrainingError) {
    self.configuration = configuration
    self.file = file
    shape = LayerShape(configuration)
    let tensors = TensorSource(file, configuration.architecture)
    let hidden = configuration.hiddenSize
    embeddings = EmbeddingWeights(
      words: try tensors(
        "embeddings.word_embeddings.weight", [configuration.vocabularySize, hidden]),
      positions: try tensors(
        "embeddings.position_embeddings.weight", [configuration.positionCount, hidden]),
      types: configuration.architecture == .distilbert
        ? nil
        : try tensors(
          "embeddings.token_type_embeddings.weight", [configuration.tokenTypeCount, hidden]),
      gain: try tensors("embeddings.LayerNorm.weight", [hidden]),
      shift: try tensors("embeddings.LayerNorm.bias", [hidden]))
    var layers: [LayerWeights] = []
    for layer in 0..<configuration.layerCount {
      layers.append(try tensors.layer(layer, configuration))
    }
    self.layers = layers
    rows = RowIndependence(
      layers.first, shape, values: embeddings.words, count: configuration.vocabularySize * hidden,
      longest: configuration.longestSequence)
    if let dense, dense.width != hidden {
      throw .wrongHeadShape(expected: [hidden, hidden], found: [dense.width, dense.width])
    }
    let own = try tensors.dense(width: hidden)
    pooling = Pooling(configuration, dense: dense ?? own)
  }

  /// The frozen layer between the first token and the head, where the architecture has one.
  package var dense: DenseLayer? { pooling.layer }

  package var layerCount: Int { configuration.layerCount }

  /// Bytes of one token's hidden state.
  package var rowByteCount: Int { shape.hidden * MemoryLayout<Float>.stride }
}

struct EmbeddingWeights {
  /// (vocabulary, hidden)
  var words: UnsafePointer<Float>
  /// (positions, hidden)
  var positions: UnsafePointer<Float>
  /// (types, hidden); `nil` where the architecture has none.
  var types: UnsafePointer<Float>?
  var gain: UnsafePointer<Float>
  var shift: UnsafePointer<Float>
}

/// Looks tensors up by their path inside the encoder.
private struct TensorSource {
  let file: SafetensorsFile
  let architecture: EncoderArchitecture
  let prefix: String

  init(_ file: SafetensorsFile, _ architecture: EncoderArchitecture) {
    self.file = file
    self.architecture = architecture
    let probe = architecture.prefix + "embeddings.word_embeddings.weight"
    prefix = file.tensor(named: probe) == nil ? "" : architecture.prefix
  }

  /// The head's hidden layer of a checkpoint that was fine-tuned whole.
  func dense(width: Int) throws(TrainingError) -> DenseLayer? {
    guard let path = architecture.densePath, file.tensor(named: path + ".weight") != nil else {
      return nil
    }
    do {
      return DenseLayer(
        weight: Array(try file.floats(path + ".weight", shape: [width, width])),
        bias: Array(try file.floats(path + ".bias", shape: [width])))
    } catch {
      throw .backbone(error)
    }
  }

  func callAsFunction(_ path: String, _ shape: [Int]) throws(TrainingError)
    -> UnsafePointer<Float>
  {
    let values: UnsafeBufferPointer<Float>
    do {
      values = try file.floats(prefix + path, shape: shape)
    } catch {
      throw .backbone(error)
    }
    guard let base = values.baseAddress else { throw .backbone(.missingTensor(name: path)) }
    return base
  }

  func layer(_ index: Int, _ configuration: EncoderConfiguration) throws(TrainingError)
    -> LayerWeights
  {
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    let path = architecture.layerPath + "\(index)."
    func module(_ target: ProjectionTarget) -> String {
      path + architecture.modulePath(of: target)
    }
    let isDistilled = architecture == .distilbert
    let attentionNorm = path + (isDistilled ? "sa_layer_norm" : "attention.output.LayerNorm")
    let outputNorm = path + (isDistilled ? "output_layer_norm" : "output.LayerNorm")
    let qkv = FloatBuffer(count: 3 * hidden * hidden)
    let qkvBias = FloatBuffer(count: 3 * hidden)
    for (slot, target) in [ProjectionTarget.query, .key, .value].enumerated() {
      let weight = try self(module(target) + ".weight", [hidden, hidden])
      let bias = try self(module(target) + ".bias", [hidden])
      (qkv.pointer + slot * hidden * hidden).update(from: weight, count: hidden * hidden)
      (qkvBias.pointer + slot * hidden).update(from: bias, count: hidden)
    }
    return LayerWeights(
      qkv: UnsafePointer(qkv.pointer), qkvBias: UnsafePointer(qkvBias.pointer),
      attentionOutput: try self(module(.attentionOutput) + ".weight", [hidden, hidden]),
      attentionOutputBias: try self(module(.attentionOutput) + ".bias", [hidden]),
      attentionGain: try self(attentionNorm + ".weight", [hidden]),
      attentionShift: try self(attentionNorm + ".bias", [hidden]),
      intermediate: try self(module(.intermediate) + ".weight", [inner, hidden]),
      intermediateBias: try self(module(.intermediate) + ".bias", [inner]),
      output: try self(module(.output) + ".weight", [hidden, inner]),
      outputBias: try self(module(.output) + ".bias", [hidden]),
      outputGain: try self(outputNorm + ".weight", [hidden]),
      outputShift: try self(outputNorm + ".bias", [hidden]), owners: [qkv, qkvBias])
  }
}
