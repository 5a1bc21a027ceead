package import Unlearning

/// A family of published encoders: what it calls its parts, and what its head reads.
///
/// The layers compute the same in all of them. The raw value is the `model_type` of `config.json`.
package enum EncoderArchitecture: String, CaseIterable, Sendable {
  case bert
  case distilbert
  case roberta

  /// What stands before the encoder's own paths inside a task's model.
  package var prefix: String { rawValue + "." }

  /// What stands before a layer's number.
  package var layerPath: String {
    switch self {
    case .bert, .roberta: "encoder.layer."
    case .distilbert: "transformer.layer."
    }
  }

  /// A projection's whole path inside one layer.
  package func modulePath(of target: ProjectionTarget) -> String {
    switch self {
    case .bert, .roberta:
      switch target {
      case .query, .key, .value: "attention.self.\(target.rawValue)"
      case .attentionOutput, .intermediate, .output: target.rawValue
      }
    case .distilbert:
      switch target {
      case .query, .key, .value, .attentionOutput: "attention.\(moduleName(of: target))"
      case .intermediate, .output: "ffn.\(moduleName(of: target))"
      }
    }
  }

  /// The end of that path by which PEFT is told of the projection.
  func moduleName(of target: ProjectionTarget) -> String {
    switch self {
    case .bert, .roberta: target.rawValue
    case .distilbert:
      switch target {
      case .query: "q_lin"
      case .key: "k_lin"
      case .value: "v_lin"
      case .attentionOutput: "out_lin"
      case .intermediate: "lin1"
      case .output: "lin2"
      }
    }
  }

  /// The head's last layer, which is trained.
  var headPath: String {
    switch self {
    case .bert, .distilbert: "classifier"
    case .roberta: "classifier.out_proj"
    }
  }

  /// The frozen layer before it; `nil` where the head reads the mean of all tokens.
  package var densePath: String? {
    switch self {
    case .bert: nil
    case .distilbert: "pre_classifier"
    case .roberta: "classifier.dense"
    }
  }

  /// Modules that PEFT takes from an adapter's file as they are.
  var savedModules: [String] {
    switch self {
    case .bert, .roberta: ["classifier", "score"]
    case .distilbert: ["classifier", "pre_classifier", "score"]
    }
  }
}

/// A frozen layer between the encoder's first token and the trained head.
package struct DenseLayer: Equatable, Sendable {
  /// (width, width), row-major.
  package var weight: [Float]
  package var bias: [Float]

  package init(weight: [Float], bias: [Float]) {
    precondition(weight.count == bias.count * bias.count)
    self.weight = weight
    self.bias = bias
  }

  package var width: Int { bias.count }
}
