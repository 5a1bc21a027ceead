/// The shape of a BERT-family encoder, from its folder's `config.json`.
package struct EncoderConfiguration: Equatable, Sendable {
  package var layerCount: Int
  /// Width of a token's vector.
  package var hiddenSize: Int
  package var headCount: Int
  /// Width of the feed-forward layer's inner vector.
  package var intermediateSize: Int
  package var layerNormEpsilon: Double
  package var vocabularySize: Int
  /// The longest sequence the position table can number.
  package var positionCount: Int
  /// How many kinds of segments the type table holds.
  package var tokenTypeCount: Int

  package init(
    layerCount: Int, hiddenSize: Int, headCount: Int, intermediateSize: Int,
    layerNormEpsilon: Double = 1e-12, vocabularySize: Int, positionCount: Int,
    tokenTypeCount: Int = 2
  ) {
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.intermediateSize = intermediateSize
    self.layerNormEpsilon = layerNormEpsilon
    self.vocabularySize = vocabularySize
    self.positionCount = positionCount
    self.tokenTypeCount = tokenTypeCount
  }

  package var headWidth: Int { hiddenSize / headCount }
}

/// Why a `config.json` describes nothing the engine can run.
package enum EncoderConfigurationError: Error, Equatable, Sendable {
  case malformed(reason: String)
  /// A field is absent, or not a number in its range.
  case invalidField(name: String, expected: String)
  /// The architecture has a part the engine does not compute.
  case unsupported(field: String, value: String, supported: String)
}

extension EncoderConfigurationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let reason): "config.json cannot be read: \(reason)"
    case .invalidField(let name, let expected): "config.json: '\(name)' must be \(expected)"
    case .unsupported(let field, let value, let supported):
      "config.json: \(field) '\(value)' is not supported, only \(supported)"
    }
  }
}

extension EncoderConfiguration {
  /// Reads a Hugging Face `config.json`; unsupported variants are refused, never approximated.
  package init(configJSON bytes: some Collection<UInt8>) throws(EncoderConfigurationError) {
    let json: JSON
    do {
      json = try JSON(parsing: bytes)
    } catch {
      throw .malformed(reason: "\(error.reason), at byte \(error.byteOffset)")
    }
    func choose(_ field: String, among supported: [String], byDefault: String?)
      throws(EncoderConfigurationError)
    {
      guard let value = json[field]?.string ?? byDefault, supported.contains(value) else {
        throw .unsupported(
          field: field, value: json[field]?.string ?? "(absent)",
          supported: supported.joined(separator: ", "))
      }
    }
    func size(_ field: String, limit: Int = 1 << 20) throws(EncoderConfigurationError) -> Int {
      guard let value = json[field]?.integer, value > 0, value <= limit else {
        throw .invalidField(name: field, expected: "a whole number from 1 to \(limit)")
      }
      return value
    }
    try choose("model_type", among: ["bert"], byDefault: nil)
    try choose("hidden_act", among: ["gelu"], byDefault: nil)
    try choose("position_embedding_type", among: ["absolute"], byDefault: "absolute")
    guard json["is_decoder"]?.bool != true else {
      throw .unsupported(field: "is_decoder", value: "true", supported: "false")
    }
    guard let epsilon = json["layer_norm_eps"]?.double, epsilon > 0, epsilon < 1 else {
      throw .invalidField(name: "layer_norm_eps", expected: "a number between 0 and 1")
    }
    self.init(
      layerCount: try size("num_hidden_layers", limit: 1000),
      hiddenSize: try size("hidden_size", limit: 1 << 16),
      headCount: try size("num_attention_heads", limit: 1 << 10),
      intermediateSize: try size("intermediate_size", limit: 1 << 18),
      layerNormEpsilon: epsilon, vocabularySize: try size("vocab_size", limit: 1 << 24),
      positionCount: try size("max_position_embeddings"),
      tokenTypeCount: try size("type_vocab_size", limit: 256))
    guard hiddenSize.isMultiple(of: headCount) else {
      throw .invalidField(
        name: "hidden_size", expected: "a multiple of num_attention_heads (\(headCount))")
    }
  }
}
