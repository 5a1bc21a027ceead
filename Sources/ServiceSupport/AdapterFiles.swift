import Hashing
import ModelFormats
import SystemIO
import Unlearning

/// A PEFT folder as it is read: to work with alone, or as what a run's blocks start from.
package struct AdapterFiles: Sendable {
  package let folder: String
  package let adapter: PEFTAdapter
  /// Covers both files; of a starting adapter part of the recipe, and so of every block's key.
  package let digest: Digest

  package init(_ folder: String) throws {
    self.folder = folder
    func bytes(_ name: String) throws -> [UInt8] {
      do {
        return try FileSystem.read("\(folder)/\(name)")
      } catch {
        throw ServiceError(
          .missingInput, "the adapter folder \(folder) has no readable \(name): \(error)",
          try: "give a folder that PEFT or lethe export wrote")
      }
    }
    let configuration = try bytes(PEFTAdapter.configurationName)
    let tensors = try bytes(PEFTAdapter.tensorsName)
    do {
      adapter = try PEFTAdapter(configuration: configuration, tensors: tensors)
    } catch {
      throw ServiceError(
        .badData, "\(folder): \(error)",
        try: "save it again with PEFT, without what is named here")
    }
    digest = LineageDigest.startingAdapter(
      fileDigests: [
        (PEFTAdapter.configurationName, SHA256.hash(configuration)),
        (PEFTAdapter.tensorsName, SHA256.hash(tensors)),
      ])
  }

  /// Names everything in which it is not what a run trains.
  ///
  /// - Parameter layers: all that the run trains.
  package func check(_ recipe: TrainingRecipe, layers: [Int]) throws {
    var differences: [String] = []
    func compare<Value: Equatable>(_ name: String, _ own: Value, _ wanted: Value) {
      if own != wanted { differences.append("its \(name) is \(own), training.\(name) \(wanted)") }
    }
    compare("rank", adapter.rank, recipe.rank)
    compare("alpha", adapter.alpha, recipe.alpha)
    compare("rankStabilized", adapter.rankStabilized, recipe.rankStabilized)
    let places = adapter.adapters.map(\.place)
    compare(
      "targets", Set(places.map(\.target)).sorted().map(\.rawValue),
      recipe.targets.map(\.rawValue))
    let own = Set(places.map(\.layer)).sorted()
    if own != layers.sorted() {
      differences.append("it has layers \(own), the run trains \(layers.sorted())")
    }
    let wanted = Set(layers).count * recipe.targets.count
    if differences.isEmpty, places.count != wanted {
      differences.append("it has \(places.count) pairs of matrices, the run trains \(wanted)")
    }
    guard differences.isEmpty else {
      throw ServiceError(
        .configuration,
        "the starting adapter \(folder) does not fit: \(differences.joined(separator: "; "))",
        try: "change training in the run file, or train an adapter of that kind")
    }
  }

  /// Refuses an adapter of another family or width than the backbone's.
  package func check(_ configuration: EncoderConfiguration, backbone: String) throws {
    let width = configuration.hiddenSize
    let isFamily =
      adapter.architecture == configuration.architecture
      // Bare names of these two are the same.
      || (adapter.architecture.layerPath == configuration.architecture.layerPath
        && adapter.dense == nil)
    guard isFamily, adapter.dense.map({ $0.width == width }) ?? true,
      adapter.adapters.allSatisfy({ $0.target != .query || $0.inputCount == width })
    else {
      throw ServiceError(
        .badData,
        "\(folder) is an adapter for \(adapter.architecture.rawValue), not for the "
          + "\(configuration.architecture.rawValue) of width \(width) in \(backbone)",
        try: "use the backbone it was trained on")
    }
  }
}
