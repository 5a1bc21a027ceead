import Foundation
import ModelFormats
import Testing
import Unlearning

@Suite("PEFT folders")
struct PEFTAdapterTests {
  static let head = ClassifierHead(weight: (0..<12).map { Float($0) }, bias: [1, 2, 3])

  static func bundle(
    _ targets: [ProjectionTarget], layers: [Int] = [2, 3], rank: Int = 2
  ) -> PEFTAdapter {
    let adapters = layers.flatMap { layer in
      targets.map { target in
        Adapter(
          layer: layer, target: target, rank: rank,
          scale: PEFTAdapter.scale(rank: rank, alpha: 4, rankStabilized: true),
          a: (0..<rank * 4).map { Float($0 + layer) },
          b: (0..<rank * 4).map { -Float($0) - Float(target.ordinal) })
      }
    }
    return PEFTAdapter(
      rank: rank, alpha: 4, rankStabilized: true, adapters: adapters, head: head)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    var bundle: PEFTAdapter
    var modules: [String]
    var layers: [Int]?
    var because: String
    var testDescription: String { because }
  }

  static let rows = [
    Row(
      bundle: bundle([.query, .value]), modules: ["query", "value"], layers: [2, 3],
      because: "suffixes and layers say it"),
    Row(
      bundle: bundle(ProjectionTarget.allCases),
      modules: [
        "attention.output.dense", "intermediate.dense", "key", "output.dense", "query", "value",
      ], layers: [2, 3], because: "output.dense hits both, and both are meant"),
    Row(
      bundle: bundle([.output], layers: [1]), modules: ["bert.encoder.layer.1.output.dense"],
      layers: [1], because: "output.dense alone would also hit the attention's"),
    Row(
      bundle: PEFTAdapter(
        rank: 2, alpha: 4, rankStabilized: true,
        adapters: bundle([.query], layers: [0]).adapters + bundle([.value], layers: [1]).adapters,
        head: head),
      modules: [
        "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.1.attention.self.value",
      ], layers: nil, because: "no rectangle of layers and projections"),
  ]

  @Test("comes back whole and names exactly its modules", arguments: rows)
  func roundTrip(_ row: Row) throws {
    let (configuration, tensors) = row.bundle.encode(metadata: ["lethe": "1"])
    #expect(try PEFTAdapter(configuration: configuration, tensors: tensors) == row.bundle)
    let json = try JSON(parsing: configuration)
    #expect(json["target_modules"]?.array?.compactMap(\.string) == row.modules)
    #expect(json["layers_to_transform"]?.array?.compactMap(\.integer) == row.layers)
    #expect(json["r"]?.integer == 2)
    #expect(json["lora_alpha"] == .number("4"))
    #expect(json["use_rslora"] == .bool(true))
    #expect(row.bundle.encode(metadata: ["lethe": "1"]).tensors == tensors)
  }

  @Test("a head alone comes back too")
  func headOnly() throws {
    let alone = PEFTAdapter(
      rank: 2, alpha: 4, rankStabilized: true, adapters: [], head: Self.head)
    let (configuration, tensors) = alone.encode()
    #expect(try PEFTAdapter(configuration: configuration, tensors: tensors) == alone)
  }

  static let renames: [(from: String, to: String, because: String)] = [
    ("base_model.model.bert.", "base_model.model.", "a bare encoder"),
    ("classifier.", "score.", "the other name of a head"),
    ("classifier.", "classifier.modules_to_save.default.", "saved with the wrapper's name"),
    (".lora_A.weight", ".lora_A.default.weight", "saved with the adapter's name"),
  ]

  @Test("reads the names other tools write", arguments: renames)
  func reads(_ row: (from: String, to: String, because: String)) throws {
    let bundle = Self.bundle([.query, .output])
    let renamed = bundle.tensors.map { tensor in
      NamedTensor(
        name: tensor.name.replacingOccurrences(of: row.from, with: row.to), shape: tensor.shape,
        values: tensor.values)
    }
    let read = try PEFTAdapter(
      configuration: bundle.encode().configuration, tensors: SafetensorsWriter.encode(renamed))
    #expect(read == bundle, "\(row.because)")
  }

  static let strangers = [
    "base_model.model.bert.encoder.layer.0.attention.self.query.lora_magnitude_vector",
    "base_model.model.bert.encoder.layer.00.attention.self.query.lora_A.weight",
    "base_model.model.bert.encoder.layer.-1.attention.self.query.lora_A.weight",
    "base_model.model.bert.encoder.layer.0.attention.self.dense.lora_A.weight",
    "base_model.model.bert.pooler.dense.lora_A.weight", "bert.encoder.layer.0.x",
    "base_model.model.classifier.dense.weight",
  ]

  @Test("names a tensor it cannot place", arguments: strangers)
  func refusesStrangers(name: String) {
    let bundle = Self.bundle([.query])
    let tensors = bundle.tensors + [NamedTensor(name: name, shape: [2, 1], values: [0, 0])]
    #expect(throws: PEFTError.unknownTensor(name: name)) {
      try PEFTAdapter(
        configuration: bundle.encode().configuration, tensors: SafetensorsWriter.encode(tensors))
    }
  }

  @Test("refuses half a pair, a wrong rank and numbers that are none")
  func refusesDamage() {
    let bundle = Self.bundle([.query], layers: [0])
    let configuration = bundle.encode().configuration
    func read(_ tensors: [NamedTensor]) throws -> PEFTAdapter {
      try PEFTAdapter(
        configuration: configuration, tensors: SafetensorsWriter.encode(tensors))
    }
    #expect(throws: PEFTError.self) { try read(Array(bundle.tensors.dropFirst())) }
    #expect(throws: PEFTError.self) { try read(Self.bundle([.query], rank: 1).tensors) }
    var broken = bundle.tensors
    broken[0].values[1] = .nan
    #expect(throws: PEFTError.self) { try read(broken) }
  }

  static let settings: [(from: String, to: String, because: String)] = [
    (#""peft_type": "LORA""#, #""peft_type": "IA3""#, "another method"),
    (#""use_dora": false"#, #""use_dora": true"#, "another function of the weights"),
    (#""rank_pattern": {}"#, #""rank_pattern": {"query": 4}"#, "ranks that differ"),
    (#""alpha_pattern": {}"#, #""alpha_pattern": {"query": 4}"#, "scales that differ"),
    (#""bias": "none""#, #""bias": "all""#, "trained biases"),
    (#""r": 2"#, #""r": 0"#, "no rank"),
    (#""lora_alpha": 4"#, #""lora_alpha": "4""#, "a number in quotes"),
    ("{", "", "no JSON"),
  ]

  @Test("refuses settings it would compute wrongly", arguments: settings)
  func refusesSettings(_ row: (from: String, to: String, because: String)) {
    let (configuration, tensors) = Self.bundle([.query]).encode()
    let text = String(decoding: configuration, as: UTF8.self)
    let changed = text.replacingOccurrences(of: row.from, with: row.to)
    #expect(changed != text)
    #expect(throws: PEFTError.self, "\(row.because)") {
      try PEFTAdapter(configuration: Array(changed.utf8), tensors: tensors)
    }
  }

  static let families: [(fixture: String, architecture: EncoderArchitecture, names: [String])] = [
    (
      "tiny-bert", .bert,
      [
        "attention.output.dense", "intermediate.dense", "key", "output.dense", "query", "value",
      ]
    ),
    ("tiny-distilbert", .distilbert, ["k_lin", "lin1", "lin2", "out_lin", "q_lin", "v_lin"]),
    (
      "tiny-roberta", .roberta,
      [
        "attention.output.dense", "intermediate.dense", "key", "output.dense", "query", "value",
      ]
    ),
  ]

  @Test("reads what PEFT wrote, and writes its tensors byte for byte", arguments: families)
  func reference(_ row: (fixture: String, architecture: EncoderArchitecture, names: [String]))
    throws
  {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/\(row.fixture)/init")
    let written = try Data(contentsOf: folder.appending(path: "adapter_model.safetensors"))
    let read = try PEFTAdapter(
      configuration: Data(contentsOf: folder.appending(path: "adapter_config.json")),
      tensors: written)
    #expect(read.adapters.count == 24)
    #expect(read.adapters[0].scale == Float(read.alpha / Double(read.rank).squareRoot()))
    #expect(read.head?.labelCount == 3)
    #expect(read.architecture == row.architecture)
    #expect(read.dense?.width == (row.architecture == .bert ? nil : 16))
    let files = read.encode()
    #expect(files.tensors == Array(written))
    let settings = try JSON(parsing: files.configuration)
    #expect(settings["target_modules"]?.array?.compactMap(\.string) == row.names)
    #expect(settings["layers_to_transform"]?.array?.compactMap(\.integer) == [0, 1, 2, 3])
    #expect(try PEFTAdapter(configuration: files.configuration, tensors: files.tensors) == read)
  }

  @Test("one adapter's names are of one family; a head's own layer must be square")
  func mixed() throws {
    let dense = DenseLayer(weight: Array(repeating: 1, count: 16), bias: [1, 2, 3, 4])
    let bundle = PEFTAdapter(
      rank: 2, alpha: 4, rankStabilized: true, adapters: Self.bundle([.query]).adapters,
      head: Self.head, architecture: .roberta, dense: dense)
    func read(_ tensors: [NamedTensor]) throws -> PEFTAdapter {
      try PEFTAdapter(
        configuration: bundle.encode().configuration, tensors: SafetensorsWriter.encode(tensors))
    }
    #expect(try read(bundle.tensors) == bundle)
    let foreign = "base_model.model.pre_classifier.weight"
    #expect(throws: PEFTError.unknownTensor(name: foreign)) {
      try read(bundle.tensors + [NamedTensor(name: foreign, shape: [1], values: [1])])
    }
    var tensors = bundle.tensors
    let place = try #require(tensors.firstIndex { $0.name.hasSuffix("dense.weight") })
    tensors[place] = NamedTensor(
      name: tensors[place].name, shape: [4, 2], values: Array(repeating: 1, count: 8))
    #expect(throws: PEFTError.self) { try read(tensors) }
  }
}
