/// What a PEFT folder holds: LoRA pairs that share rank and scale, and the classifier head.
///
/// Adapters are sorted by layer and projection, and no place stands twice.
package struct PEFTAdapter: Equatable, Sendable {
  package var rank: Int
  package var alpha: Double
  /// Scale `alpha / √rank` instead of `alpha / rank`.
  package var rankStabilized: Bool
  package private(set) var adapters: [Adapter]
  package var head: ClassifierHead?
  /// Whose names the tensors have.
  package var architecture: EncoderArchitecture
  /// The frozen layer before the head, where the architecture has one.
  package var dense: DenseLayer?

  package static let configurationName = "adapter_config.json"
  package static let tensorsName = "adapter_model.safetensors"
  package static let loaderName = "load_peft.py"
  /// All that an export may have written into its folder.
  package static let fileNames = [configurationName, tensorsName, AdapterManifest.name, loaderName]

  /// - Precondition: every adapter has this rank, and no two have the same place.
  package init(
    rank: Int, alpha: Double, rankStabilized: Bool, adapters: [Adapter], head: ClassifierHead?,
    architecture: EncoderArchitecture = .bert, dense: DenseLayer? = nil
  ) {
    self.rank = rank
    self.alpha = alpha
    self.rankStabilized = rankStabilized
    self.adapters = adapters.sorted { $0.place < $1.place }
    self.head = head
    self.architecture = architecture
    self.dense = dense
    precondition(self.adapters.allSatisfy { $0.rank == rank })
    precondition(zip(self.adapters, self.adapters.dropFirst()).allSatisfy { $0.place < $1.place })
  }

  /// What `B·A` is multiplied with, rounded once from double precision.
  package static func scale(rank: Int, alpha: Double, rankStabilized: Bool) -> Float {
    Float(rankStabilized ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
  }
}

/// Why a PEFT folder cannot be used.
package enum PEFTError: Error, Equatable, Sendable {
  case malformedConfiguration(reason: String)
  /// A setting changes what the adapter computes in a way the engine does not know.
  case unsupported(field: String, value: String)
  case tensors(SafetensorsError)
  /// A tensor whose name belongs to no projection or head of its architecture.
  case unknownTensor(name: String)
  /// One half of a pair is absent.
  case missingTensor(name: String)
  case wrongShape(name: String, expected: String, found: [Int])
}

extension PEFTError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformedConfiguration(let reason): "adapter_config.json cannot be read: \(reason)"
    case .unsupported(let field, let value):
      "adapter_config.json: \(field) = \(value) is not supported"
    case .tensors(let error): "adapter_model.safetensors: \(error)"
    case .unknownTensor(let name):
      "adapter_model.safetensors: tensor '\(name)' belongs to no known projection or head"
    case .missingTensor(let name): "adapter_model.safetensors: tensor '\(name)' is missing"
    case .wrongShape(let name, let expected, let found):
      "adapter_model.safetensors: tensor '\(name)' has shape \(found), expected \(expected)"
    }
  }
}
