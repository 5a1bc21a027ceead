internal import Unlearning

extension PEFTAdapter {
  /// The tensors of `adapter_model.safetensors`, named as PEFT names them for a classifier.
  package var tensors: [NamedTensor] {
    var tensors: [NamedTensor] = []
    for adapter in adapters {
      let path = Self.root + Self.modulePath(of: adapter.place, architecture)
      tensors.append(
        NamedTensor(
          name: path + ".lora_A.weight", shape: [rank, adapter.inputCount], values: adapter.a))
      tensors.append(
        NamedTensor(
          name: path + ".lora_B.weight", shape: [adapter.outputCount, rank], values: adapter.b))
    }
    func append(_ path: String, rows: Int, columns: Int, _ weight: [Float], _ bias: [Float]) {
      tensors.append(
        NamedTensor(
          name: "\(Self.root)\(path).weight", shape: [rows, columns], values: weight))
      tensors.append(
        NamedTensor(name: "\(Self.root)\(path).bias", shape: [rows], values: bias))
    }
    if let head {
      append(
        architecture.headPath, rows: head.labelCount, columns: head.hiddenSize, head.weight,
        head.bias)
    }
    if let dense, let path = architecture.densePath {
      append(path, rows: dense.width, columns: dense.width, dense.weight, dense.bias)
    }
    return tensors
  }

  /// What PEFT puts before the paths of the model it wraps.
  static let root = "base_model.model."

  /// A projection's path in the task's model.
  static func modulePath(of place: AdapterPlace, _ architecture: EncoderArchitecture) -> String {
    architecture.prefix + architecture.layerPath + "\(place.layer)."
      + architecture.modulePath(of: place.target)
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
      ("modules_to_save", .array(architecture.savedModules.map { .string($0) })),
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
    let names = targets.map(architecture.moduleName)
    let isAmbiguous =
      names.contains("output.dense") && !names.contains("attention.output.dense")
    if isRectangular, !isAmbiguous {
      return (.array(names.sorted().map { .string($0) }), layers)
    }
    let paths = adapters.map { Self.modulePath(of: $0.place, architecture) }
    return (.array(paths.sorted().map { .string($0) }), isRectangular ? layers : nil)
  }
}
