import Foundation
import ModelFormats
import Testing

@Suite("Encoder configuration")
struct EncoderConfigurationTests {
  static let fields: [(name: String, value: String)] = [
    ("model_type", #""bert""#), ("hidden_act", #""gelu""#), ("hidden_size", "384"),
    ("num_hidden_layers", "6"), ("num_attention_heads", "12"), ("intermediate_size", "1536"),
    ("layer_norm_eps", "1e-12"), ("vocab_size", "30522"), ("max_position_embeddings", "512"),
    ("type_vocab_size", "2"), ("position_embedding_type", #""absolute""#),
  ]

  /// A working configuration with one field changed, or left out.
  static func text(changing name: String = "", to value: String? = nil) -> [UInt8] {
    let members = fields.compactMap { field -> String? in
      if field.name != name { return "\"\(field.name)\":\(field.value)" }
      return value.map { "\"\(name)\":\($0)" }
    }
    return Array("{\(members.joined(separator: ","))}".utf8)
  }

  @Test("reads a BERT")
  func reads() throws {
    let configuration = try EncoderConfiguration(configJSON: Self.text())
    #expect(
      configuration
        == EncoderConfiguration(
          layerCount: 6, hiddenSize: 384, headCount: 12, intermediateSize: 1536,
          vocabularySize: 30522, positionCount: 512))
    #expect(configuration.headWidth == 32)
    // Older files leave it out.
    #expect(
      try EncoderConfiguration(configJSON: Self.text(changing: "position_embedding_type"))
        == configuration)
  }

  /// A published file's fields, of the other families.
  static let distilled = """
    {"model_type": "distilbert", "activation": "gelu", "dim": 768, "n_layers": 6, "n_heads": 12,
     "hidden_dim": 3072, "vocab_size": 30522, "max_position_embeddings": 512}
    """
  static let roberta = """
    {"model_type": "roberta", "hidden_act": "gelu", "hidden_size": 768, "num_hidden_layers": 12,
     "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 50265,
     "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-05,
     "pad_token_id": 1}
    """

  @Test("reads a DistilBERT, which has no types, and a RoBERTa, whose positions begin later")
  func families() throws {
    let distilled = try EncoderConfiguration(configJSON: Array(Self.distilled.utf8))
    #expect(
      distilled
        == EncoderConfiguration(
          layerCount: 6, hiddenSize: 768, headCount: 12, intermediateSize: 3072,
          vocabularySize: 30522, positionCount: 512, tokenTypeCount: 1, architecture: .distilbert))
    #expect(!distilled.hasTokenTypes && distilled.longestSequence == 512)
    let roberta = try EncoderConfiguration(configJSON: Array(Self.roberta.utf8))
    #expect(
      roberta
        == EncoderConfiguration(
          layerCount: 12, hiddenSize: 768, headCount: 12, intermediateSize: 3072,
          layerNormEpsilon: 1e-5, vocabularySize: 50265, positionCount: 514, tokenTypeCount: 1,
          architecture: .roberta, paddingToken: 1))
    #expect(roberta.firstPosition == 2 && roberta.longestSequence == 512)
  }

  static let refusedOfOthers: [(text: String, from: String, to: String)] = [
    (distilled, #""gelu""#, #""relu""#), (distilled, #""dim": 768"#, #""dim": 770"#),
    (distilled, #""n_layers""#, #""num_hidden_layers""#),
    (roberta, #""pad_token_id": 1"#, #""pad_token_id": 513"#),
    (roberta, #""pad_token_id": 1"#, #""pad_token_id": "1""#),
    (roberta, #""layer_norm_eps": 1e-05,"#, ""),
  ]

  @Test("refuses what the other families cannot have", arguments: refusedOfOthers)
  func refusesOthers(_ row: (text: String, from: String, to: String)) {
    let changed = row.text.replacingOccurrences(of: row.from, with: row.to)
    #expect(changed != row.text)
    #expect(throws: EncoderConfigurationError.self, "\(row.to)") {
      try EncoderConfiguration(configJSON: Array(changed.utf8))
    }
  }

  static let refused: [(name: String, value: String?, because: String)] = [
    ("model_type", #""electra""#, "another family"),
    ("model_type", nil, "no architecture named"),
    ("hidden_act", #""gelu_new""#, "another activation"),
    ("position_embedding_type", #""relative_key""#, "another attention"),
    ("hidden_size", "385", "no multiple of the heads"),
    ("hidden_size", "0", "an empty vector"),
    ("num_hidden_layers", "-1", "a negative count"),
    ("num_hidden_layers", "6.5", "half a layer"),
    ("num_attention_heads", #""12""#, "a number in quotes"),
    ("vocab_size", "99999999999999999999", "larger than any integer"),
    ("layer_norm_eps", "0", "a division by zero"),
    ("intermediate_size", nil, "a missing size"),
  ]

  @Test("refuses what the engine would compute wrongly", arguments: refused)
  func refuses(_ row: (name: String, value: String?, because: String)) {
    #expect(throws: EncoderConfigurationError.self, "\(row.because)") {
      try EncoderConfiguration(configJSON: Self.text(changing: row.name, to: row.value))
    }
  }

  @Test("says what is supported")
  func explains() {
    let error = EncoderConfigurationError.unsupported(
      field: "model_type", value: "roberta", supported: "bert")
    #expect(error.description.contains("roberta"))
  }
}
