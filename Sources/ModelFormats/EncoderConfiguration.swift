/// The shape of a post-norm encoder, from its folder's `config.json`.
package struct EncoderConfiguration: Equatable, Sendable {
  package var layerCount: Int
  /// Width of a token's vector.
  package var hiddenSize: Int
  package var headCount: Int
  /// Width of the feed-forward layer's inner vector.
  package var intermediateSize: Int
  package var layerNormEpsilon: Double
  package var vocabularySize: Int
  /// Rows of the position table.
  package var positionCount: Int
  /// How many kinds of segments the type table holds.
  package var tokenTypeCount: Int
  package var architecture: EncoderArchitecture
  /// RoBERTa's: takes no place in the numbering of positions, which begins after its own number.
  package var paddingToken: Int?

  package init(
    layerCount: Int, hiddenSize: Int, headCount: Int, intermediateSize: Int,
    layerNormEpsilon: Double = 1e-12, vocabularySize: Int, positionCount: Int,
    tokenTypeCount: Int = 2, architecture: EncoderArchitecture = .bert, paddingToken: Int? = nil
  ) {
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.intermediateSize = intermediateSize
    self.layerNormEpsilon = layerNormEpsilon
    self.vocabularySize = vocabularySize
    self.positionCount = positionCount
    self.tokenTypeCount = tokenTypeCount
    self.architecture = architecture
    self.paddingToken = paddingToken
  }

  package var headWidth: Int { hiddenSize / headCount }
  /// The number of the first token's position.
  package var firstPosition: Int { paddingToken.map { $0 + 1 } ?? 0 }
  /// The longest sequence the position table can number.
  package var longestSequence: Int { positionCount - firstPosition }
  /// Whether the second text of a pair has a type of its own.
  package var hasTokenTypes: Bool { tokenTypeCount > 1 }
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
    @discardableResult
    func choose(_ field: String, among supported: [String], byDefault: String?)
      throws(EncoderConfigurationError) -> String
    {
      guard let value = json[field]?.string ?? byDefault, supported.contains(value) else {
        throw .unsupported(
          field: field, value: json[field]?.string ?? "(absent)",
          supported: supported.joined(separator: ", "))
      }
      return value
    }
    func size(_ field: String, limit: Int = 1 << 20) throws(EncoderConfigurationError) -> Int {
      guard let value = json[field]?.integer, value > 0, value <= limit else {
        throw .invalidField(name: field, expected: "a whole number from 1 to \(limit)")
      }
      return value
    }
    let families = EncoderArchitecture.allCases.map(\.rawValue)
    let family = try choose("model_type", among: families, byDefault: nil)
    let architecture = EncoderArchitecture(rawValue: family) ?? .bert
    let isDistilled = architecture == .distilbert
    try choose(isDistilled ? "activation" : "hidden_act", among: ["gelu"], byDefault: nil)
    try choose("position_embedding_type", among: ["absolute"], byDefault: "absolute")
    guard json["is_decoder"]?.bool != true else {
      throw .unsupported(field: "is_decoder", value: "true", supported: "false")
    }
    // DistilBERT's is a constant of its code.
    let epsilon = isDistilled ? 1e-12 : json["layer_norm_eps"]?.double ?? 0
    guard epsilon > 0, epsilon < 1 else {
      throw .invalidField(name: "layer_norm_eps", expected: "a number between 0 and 1")
    }
    let names =
      isDistilled
      ? (layers: "n_layers", hidden: "dim", heads: "n_heads", inner: "hidden_dim")
      : (
        layers: "num_hidden_layers", hidden: "hidden_size", heads: "num_attention_heads",
        inner: "intermediate_size"
      )
    self.init(
      layerCount: try size(names.layers, limit: 1000),
      hiddenSize: try size(names.hidden, limit: 1 << 16),
      headCount: try size(names.heads, limit: 1 << 10),
      intermediateSize: try size(names.inner, limit: 1 << 18),
      layerNormEpsilon: epsilon, vocabularySize: try size("vocab_size", limit: 1 << 24),
      positionCount: try size("max_position_embeddings"),
      tokenTypeCount: isDistilled ? 1 : try size("type_vocab_size", limit: 256),
      architecture: architecture)
    guard hiddenSize.isMultiple(of: headCount) else {
      throw .invalidField(
        name: names.hidden, expected: "a multiple of \(names.heads) (\(headCount))")
    }
    guard architecture == .roberta else { return }
    let padding = json["pad_token_id"] == nil ? 1 : json["pad_token_id"]?.integer
    guard let padding, padding >= 0, padding < min(vocabularySize, positionCount - 1) else {
      throw .invalidField(
        name: "pad_token_id",
        expected: "a token's number below max_position_embeddings - 1 (\(positionCount - 1))")
    }
    paddingToken = padding
  }
}
