import Hashing
import ModelFormats
import SystemIO
import Unlearning

/// A backbone folder as published: what it says of itself and the digest that block keys carry.
package struct BackboneFiles: Sendable {
  package let folder: String
  package let configuration: EncoderConfiguration
  /// Covers configuration, weights, vocabulary and tokenizer settings.
  package let digest: Digest

  package static let configurationName = "config.json"
  package static let weightsName = "model.safetensors"
  package static let vocabularyName = "vocab.txt"
  /// Of a byte-level tokenizer.
  package static let byteLevelNames = (vocabulary: "vocab.json", merges: "merges.txt")
  package static let tokenizerConfigurationName = "tokenizer_config.json"

  package init(_ folder: String) throws {
    self.folder = folder
    var digests: [(name: String, digest: Digest)] = []
    func read<Value>(_ name: String, _ body: (UnsafeRawBufferPointer) -> Value) throws -> Value {
      do {
        let file = try MappedFile("\(folder)/\(name)")
        return withExtendedLifetime(file) {
          digests.append((name, SHA256.hash(file.bytes)))
          return body(file.bytes)
        }
      } catch {
        throw ServiceError(
          .missingInput, "the backbone \(folder) has no readable \(name) (\(error))",
          try: "ops/fetch-backbone gets a complete one")
      }
    }
    do {
      configuration = try EncoderConfiguration(
        configJSON: try read(Self.configurationName) { Array($0) })
    } catch let error as EncoderConfigurationError {
      throw ServiceError(
        .badData, "\(folder)/\(Self.configurationName): \(error)",
        try: "use an encoder such as the one ops/fetch-backbone gets")
    }
    for name in [Self.weightsName] + Self.tokenizerNames(configuration.architecture) {
      try read(name) { _ in }
    }
    let tokenizerPath = "\(folder)/\(Self.tokenizerConfigurationName)"
    if FileSystem.exists(tokenizerPath) {
      digests.append(
        (Self.tokenizerConfigurationName, SHA256.hash(try FileSystem.read(tokenizerPath))))
    }
    digest = LineageDigest.backbone(fileDigests: digests)
  }

  /// What a folder says of its model's shape, and no more: the digest takes reading all of it.
  package static func configuration(in folder: String) throws -> EncoderConfiguration {
    try EncoderConfiguration(configJSON: try FileSystem.read("\(folder)/\(configurationName)"))
  }

  private static func tokenizerNames(_ architecture: EncoderArchitecture) -> [String] {
    switch architecture {
    case .bert, .distilbert: [vocabularyName]
    case .roberta: [byteLevelNames.vocabulary, byteLevelNames.merges]
    }
  }
}
