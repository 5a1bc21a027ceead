internal import Unlearning

extension PEFTAdapter {
  /// Reads both files of a PEFT folder.
  ///
  /// Tensor names may stand under the architecture's prefix or, for a bare encoder, without it; a
  /// head may be called `classifier` or `score`. Whatever does not fit is refused by name: PEFT
  /// itself would skip it silently and leave an adapter half loaded.
  package init(configuration: some Collection<UInt8>, tensors: some Collection<UInt8>)
    throws(PEFTError)
  {
    let settings = try Settings(configuration)
    let file: SafetensorsFile
    do {
      file = try SafetensorsFile(tensors)
    } catch {
      throw .tensors(error)
    }
    var halves: [AdapterPlace: (a: SafetensorsFile.Tensor?, b: SafetensorsFile.Tensor?)] = [:]
    var (head, dense) = (LinearTensors(), LinearTensors())
    let architecture = Self.architecture(named: file.tensors.map(\.name))
    for tensor in file.tensors {
      do {
        try file.checkFinite(tensor)
      } catch {
        throw .tensors(error)
      }
      switch Self.role(of: tensor.name, architecture) {
      case .down(let place)? where halves[place]?.a == nil:
        halves[place, default: (nil, nil)].a = tensor
      case .up(let place)? where halves[place]?.b == nil:
        halves[place, default: (nil, nil)].b = tensor
      case .head(let part)? where head[keyPath: part] == nil: head[keyPath: part] = tensor
      case .dense(let part)? where dense[keyPath: part] == nil: dense[keyPath: part] = tensor
      case .down?, .up?, .head?, .dense?, nil: throw .unknownTensor(name: tensor.name)
      }
    }
    let scale = Self.scale(
      rank: settings.rank, alpha: settings.alpha, rankStabilized: settings.rankStabilized)
    guard scale.isFinite else {
      throw .malformedConfiguration(reason: "'lora_alpha' is too large a number")
    }
    var adapters: [Adapter] = []
    for (place, pair) in halves.sorted(by: { $0.key < $1.key }) {
      let path = "layer.\(place.layer).\(architecture.modulePath(of: place.target))"
      guard let a = pair.a else { throw .missingTensor(name: path + ".lora_A.weight") }
      guard let b = pair.b else { throw .missingTensor(name: path + ".lora_B.weight") }
      guard a.shape.count == 2, a.shape[0] == settings.rank, a.shape[1] > 0 else {
        throw .wrongShape(name: a.name, expected: "[\(settings.rank), inputs]", found: a.shape)
      }
      guard b.shape.count == 2, b.shape[1] == settings.rank, b.shape[0] > 0 else {
        throw .wrongShape(name: b.name, expected: "[outputs, \(settings.rank)]", found: b.shape)
      }
      adapters.append(
        Adapter(
          layer: place.layer, target: place.target, rank: settings.rank, scale: scale,
          a: try Self.values(a, file), b: try Self.values(b, file)))
    }
    self.init(
      rank: settings.rank, alpha: settings.alpha, rankStabilized: settings.rankStabilized,
      adapters: adapters, head: try Self.head(head, file), architecture: architecture,
      dense: try Self.dense(dense, file))
  }

  /// The two tensors of a linear layer.
  private struct LinearTensors {
    var weight: SafetensorsFile.Tensor?
    var bias: SafetensorsFile.Tensor?
  }

  private static func values(_ tensor: SafetensorsFile.Tensor, _ file: SafetensorsFile)
    throws(PEFTError) -> [Float]
  {
    do {
      return Array(try file.floats(tensor))
    } catch {
      throw .tensors(error)
    }
  }

  private static func dense(_ tensors: LinearTensors, _ file: SafetensorsFile) throws(PEFTError)
    -> DenseLayer?
  {
    guard let layer = try head(tensors, file) else { return nil }
    guard layer.hiddenSize == layer.labelCount else {
      throw .wrongShape(
        name: tensors.weight?.name ?? "", expected: "[hidden, hidden]",
        found: [layer.labelCount, layer.hiddenSize])
    }
    return DenseLayer(weight: layer.weight, bias: layer.bias)
  }

  private static func head(_ tensors: LinearTensors, _ file: SafetensorsFile) throws(PEFTError)
    -> ClassifierHead?
  {
    let bias = tensors.bias
    guard let weight = tensors.weight else {
      if let bias { throw .unknownTensor(name: bias.name) }
      return nil
    }
    guard weight.shape.count == 2, weight.shape[0] > 0, weight.shape[1] > 0 else {
      throw .wrongShape(name: weight.name, expected: "[labels, hidden]", found: weight.shape)
    }
    let labelCount = weight.shape[0]
    if let bias, bias.shape != [labelCount] {
      throw .wrongShape(name: bias.name, expected: "[\(labelCount)]", found: bias.shape)
    }
    // `score` heads have no bias; zero is the same function.
    let biases =
      try bias.map { tensor throws(PEFTError) in try values(tensor, file) }
      ?? Array(repeating: 0, count: labelCount)
    return ClassifierHead(weight: try values(weight, file), bias: biases)
  }
}

// MARK: - Names

extension PEFTAdapter {
  private enum Role {
    case down(AdapterPlace)
    case up(AdapterPlace)
    case head(WritableKeyPath<LinearTensors, SafetensorsFile.Tensor?>)
    case dense(WritableKeyPath<LinearTensors, SafetensorsFile.Tensor?>)
  }

  /// The family whose prefix a name carries; of bare names, the one that would say it so.
  private static func architecture(named names: [String]) -> EncoderArchitecture {
    func isAny(_ start: String) -> Bool { names.contains { $0.hasPrefix(root + start) } }
    return EncoderArchitecture.allCases.first { isAny($0.prefix) }
      ?? (isAny(EncoderArchitecture.distilbert.layerPath) ? .distilbert : nil)
      ?? EncoderArchitecture.allCases.first { $0.densePath.map { isAny($0 + ".") } ?? false }
      ?? .bert
  }

  /// What a tensor of that name is, if it is anything this engine knows.
  private static func role(of name: String, _ architecture: EncoderArchitecture) -> Role? {
    guard var path = name[...].dropping(prefix: root) else { return nil }
    path = path.dropping(prefix: architecture.prefix) ?? path
    for module in architecture.savedModules {
      guard var rest = path.dropping(prefix: module + ".") else { continue }
      // A state dictionary saved without PEFT's own function carries the wrapper's name.
      rest = rest.dropping(prefix: "modules_to_save.") ?? rest
      rest = rest.dropping(prefix: "default.") ?? rest
      switch "\(module).\(rest)" {
      case architecture.headPath + ".weight", "score.weight": return .head(\.weight)
      case architecture.headPath + ".bias", "score.bias": return .head(\.bias)
      case (architecture.densePath ?? "") + ".weight": return .dense(\.weight)
      case (architecture.densePath ?? "") + ".bias": return .dense(\.bias)
      default: return nil
      }
    }
    guard let numbered = path.dropping(prefix: architecture.layerPath),
      let dot = numbered.firstIndex(of: "."), let layer = Int(numbered[..<dot]),
      layer >= 0, String(layer) == numbered[..<dot]
    else { return nil }
    let module = numbered[numbered.index(after: dot)...]
    for target in ProjectionTarget.allCases {
      guard let end = module.dropping(prefix: architecture.modulePath(of: target) + ".")
      else { continue }
      let place = AdapterPlace(layer: layer, target: target)
      if end == "lora_A.weight" || end == "lora_A.default.weight" { return .down(place) }
      if end == "lora_B.weight" || end == "lora_B.default.weight" { return .up(place) }
    }
    return nil
  }
}

extension Substring {
  fileprivate func dropping(prefix: String) -> Substring? {
    hasPrefix(prefix) ? dropFirst(prefix.count) : nil
  }
}

// MARK: - Configuration

extension PEFTAdapter {
  private struct Settings {
    var rank: Int
    var alpha: Double
    var rankStabilized: Bool

    init(_ bytes: some Collection<UInt8>) throws(PEFTError) {
      let json: JSON
      do {
        json = try JSON(parsing: bytes)
      } catch {
        throw .malformedConfiguration(reason: "\(error.reason), at byte \(error.byteOffset)")
      }
      guard json["peft_type"] == .string("LORA") else {
        throw .unsupported(field: "peft_type", value: json["peft_type"].text)
      }
      for field in ["use_dora", "lora_bias", "fan_in_fan_out", "use_qalora", "use_bdlora"] {
        guard [nil, .null, .bool(false)].contains(json[field]) else {
          throw .unsupported(field: field, value: json[field].text)
        }
      }
      for field in ["rank_pattern", "alpha_pattern"] {
        guard [nil, .null, .object([])].contains(json[field]) else {
          throw .unsupported(field: field, value: json[field].text)
        }
      }
      guard [nil, .null, .string("none")].contains(json["bias"]) else {
        throw .unsupported(field: "bias", value: json["bias"].text)
      }
      // Absent fields mean PEFT's defaults: 8, 8 and no rank stabilisation.
      rank = 8
      if let value = json["r"] {
        guard let number = value.integer, number > 0, number <= 4096 else {
          throw .malformedConfiguration(reason: "'r' must be a whole number from 1 to 4096")
        }
        rank = number
      }
      alpha = 8
      if let value = json["lora_alpha"] {
        guard let number = value.double else {
          throw .malformedConfiguration(reason: "'lora_alpha' must be a number")
        }
        alpha = number
      }
      rankStabilized = json["use_rslora"]?.bool ?? false
    }
  }
}

extension JSON? {
  fileprivate var text: String {
    map { String(decoding: $0.compactBytes, as: UTF8.self) } ?? "(absent)"
  }
}
