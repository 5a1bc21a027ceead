package import ModelFormats
internal import Numerics
internal import Unlearning

/// A frozen BERT-family encoder whose weights stay where the file is mapped.
///
/// - Note: `@unchecked Sendable`: everything is read-only after `init`, and `file` keeps the
///   memory.
package final class Encoder: @unchecked Sendable {
  package let configuration: EncoderConfiguration
  let shape: LayerShape
  let embeddings: EmbeddingWeights
  let layers: [LayerWeights]
  let rows: RowIndependence
  /// Whether texts share products: where that changes no bit of any.
  package var groupsTexts: Bool { rows.fewestRows != nil }
  private let file: SafetensorsFile

  /// Finds and checks every tensor the layers need; names may carry the prefix `bert.`.
  package init(configuration: EncoderConfiguration, weights file: SafetensorsFile)
    throws(TrainingError)
  {
    self.configuration = configuration
    self.file = file
    shape = LayerShape(configuration)
    let tensors = TensorSource(file)
    let hidden = configuration.hiddenSize
    embeddings = EmbeddingWeights(
      words: try tensors(
        "embeddings.word_embeddings.weight", [configuration.vocabularySize, hidden]),
      positions: try tensors(
        "embeddings.position_embeddings.weight", [configuration.positionCount, hidden]),
      types: try tensors(
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
      longest: configuration.positionCount)
  }

  package var layerCount: Int { configuration.layerCount }

  /// Bytes of one token's hidden state.
  package var rowByteCount: Int { shape.hidden * MemoryLayout<Float>.stride }
}

struct EmbeddingWeights {
  /// (vocabulary, hidden)
  var words: UnsafePointer<Float>
  /// (positions, hidden)
  var positions: UnsafePointer<Float>
  /// (types, hidden)
  var types: UnsafePointer<Float>
  var gain: UnsafePointer<Float>
  var shift: UnsafePointer<Float>
}

/// Looks tensors up by their path inside the encoder.
private struct TensorSource {
  let file: SafetensorsFile
  let prefix: String

  init(_ file: SafetensorsFile) {
    self.file = file
    let probe = "bert.embeddings.word_embeddings.weight"
    prefix = file.tensor(named: probe) == nil ? "" : "bert."
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
    let path = "encoder.layer.\(index)."
    let qkv = FloatBuffer(count: 3 * hidden * hidden)
    let qkvBias = FloatBuffer(count: 3 * hidden)
    for (slot, target) in [ProjectionTarget.query, .key, .value].enumerated() {
      let module = path + target.modulePath
      let weight = try self(module + ".weight", [hidden, hidden])
      let bias = try self(module + ".bias", [hidden])
      (qkv.pointer + slot * hidden * hidden).update(from: weight, count: hidden * hidden)
      (qkvBias.pointer + slot * hidden).update(from: bias, count: hidden)
    }
    return LayerWeights(
      qkv: UnsafePointer(qkv.pointer), qkvBias: UnsafePointer(qkvBias.pointer),
      attentionOutput: try self(path + "attention.output.dense.weight", [hidden, hidden]),
      attentionOutputBias: try self(path + "attention.output.dense.bias", [hidden]),
      attentionGain: try self(path + "attention.output.LayerNorm.weight", [hidden]),
      attentionShift: try self(path + "attention.output.LayerNorm.bias", [hidden]),
      intermediate: try self(path + "intermediate.dense.weight", [inner, hidden]),
      intermediateBias: try self(path + "intermediate.dense.bias", [inner]),
      output: try self(path + "output.dense.weight", [hidden, inner]),
      outputBias: try self(path + "output.dense.bias", [hidden]),
      outputGain: try self(path + "output.LayerNorm.weight", [hidden]),
      outputShift: try self(path + "output.LayerNorm.bias", [hidden]), owners: [qkv, qkvBias])
  }
}
