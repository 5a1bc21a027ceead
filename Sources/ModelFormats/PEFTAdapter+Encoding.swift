internal import Unlearning

extension PEFTAdapter {
  /// The tensors of `adapter_model.safetensors`, named as PEFT names them for a classifier on BERT.
  package var tensors: [NamedTensor] {
    var tensors: [NamedTensor] = []
    for adapter in adapters {
      let path = "base_model.model.bert.encoder.layer.\(adapter.layer).\(adapter.target.modulePath)"
      tensors.append(
        NamedTensor(
          name: path + ".lora_A.weight", shape: [rank, adapter.inputCount], values: adapter.a))
      tensors.append(
        NamedTensor(
          name: path + ".lora_B.weight", shape: [adapter.outputCount, rank], values: adapter.b))
    }
    if let head {
      tensors.append(
        NamedTensor(
          name: "base_model.model.classifier.weight", shape: [head.labelCount, head.hiddenSize],
          values: head.weight))
      tensors.append(
        NamedTensor(
          name: "base_model.model.classifier.bias", shape: [head.labelCount], values: head.bias))
    }
    return tensors
  }

  /// The bytes of both files of a folder that PEFT loads unchanged; equal adapters give equal
  /// bytes.
  ///
  /// - Parameters:
  ///   - baseModel: a hint for people; PEFT takes the base model it is given.
  ///   - metadata: further remarks in the tensor file, beside PEFT's `format`.
  /// - Note: PEFT refuses a sequence classifier without its head, so an export needs one.
  package func encode(baseModel: String? = nil, metadata: [String: String] = [:])
    -> (configuration: [UInt8], tensors: [UInt8])
  {
    var metadata = metadata
    metadata["format"] = "pt"
    return (
      configuration(baseModel: baseModel).prettyBytes,
      SafetensorsWriter.encode(tensors, metadata: metadata)
    )
  }

  /// Every field that changes what is computed is written out; defaults differ between versions.
  private func configuration(baseModel: String?) -> JSON {
    let alphaText = Int(exactly: alpha).map { String($0) } ?? String(alpha)
    let (modules, layers) = coverage
    return .object([
      ("alpha_pattern", .object([])),
      ("base_model_name_or_path", baseModel.map { .string($0) } ?? .null),
      ("bias", .string("none")),
      ("fan_in_fan_out", .bool(false)),
      ("inference_mode", .bool(true)),
      ("init_lora_weights", .bool(true)),
      ("layers_pattern", layers == nil ? .null : .string("layer")),
      ("layers_to_transform", layers.map { .array($0.map { .number(String($0)) }) } ?? .null),
      ("lora_alpha", .number(alphaText)),
      ("lora_bias", .bool(false)),
      ("lora_dropout", .number("0.0")),
      ("modules_to_save", .array([.string("classifier"), .string("score")])),
      ("peft_type", .string("LORA")),
      ("r", .number(String(rank))),
      ("rank_pattern", .object([])),
      ("revision", .null),
      ("target_modules", modules),
      ("task_type", .string("SEQ_CLS")),
      ("use_dora", .bool(false)),
      ("use_rslora", .bool(rankStabilized)),
    ])
  }

  /// Names the adapted modules in the shortest way that hits them and nothing else.
  ///
  /// PEFT matches by dotted suffix, so `output.dense` alone would also hit
  /// `attention.output.dense`. Where suffixes and a list of layers cannot say it, whole paths do.
  /// With no adapter at all, the word PEFT keeps for that stands alone.
  private var coverage: (modules: JSON, layers: [Int]?) {
    guard !adapters.isEmpty else { return (.string("dummy-target-modules"), nil) }
    let layers = Set(adapters.map(\.layer)).sorted()
    let targets = Set(adapters.map(\.target)).sorted()
    let isRectangular = adapters.count == layers.count * targets.count
    let isAmbiguous = targets.contains(.output) && !targets.contains(.attentionOutput)
    if isRectangular, !isAmbiguous {
      return (.array(targets.map(\.rawValue).sorted().map { .string($0) }), layers)
    }
    let paths = adapters.map { "bert.encoder.layer.\($0.layer).\($0.target.modulePath)" }
    return (.array(paths.sorted().map { .string($0) }), isRectangular ? layers : nil)
  }
}
