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
  package static let tokenizerConfigurationName = "tokenizer_config.json"

  package init(_ folder: String) throws {
    self.folder = folder
    var digests: [(name: String, digest: Digest)] = []
    var configurationBytes: [UInt8] = []
    for name in [Self.configurationName, Self.weightsName, Self.vocabularyName] {
      do {
        let file = try MappedFile("\(folder)/\(name)")
        var hasher = SHA256()
        hasher.update(file.bytes)
        digests.append((name, hasher.finalize()))
        if name == Self.configurationName { configurationBytes = Array(file.bytes) }
      } catch {
        throw ServiceError(
          .missingInput, "the backbone \(folder) has no readable \(name) (\(error))",
          try: "ops/fetch-backbone gets a complete one")
      }
    }
    let tokenizerPath = "\(folder)/\(Self.tokenizerConfigurationName)"
    if FileSystem.exists(tokenizerPath) {
      digests.append(
        (Self.tokenizerConfigurationName, SHA256.hash(try FileSystem.read(tokenizerPath))))
    }
    do {
      configuration = try EncoderConfiguration(configJSON: configurationBytes)
    } catch {
      throw ServiceError(
        .badData, "\(folder)/\(Self.configurationName): \(error)",
        try: "use a BERT-family encoder such as the one ops/fetch-backbone gets")
    }
    digest = LineageDigest.backbone(fileDigests: digests)
  }
}
