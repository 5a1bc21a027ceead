import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import Tokenization
import Training
import Unlearning

/// A backbone ready to work: weights mapped, tokenizer built.
package struct LoadedModel: Sendable {
  package let files: BackboneFiles
  package let encoder: Encoder
  package let tokenizer: WordPieceTokenizer

  /// - Throws: `ServiceError` naming the file that is missing, damaged or of another kind.
  package init(folder: String) throws {
    files = try BackboneFiles(folder)
    let weightsPath = "\(folder)/\(BackboneFiles.weightsName)"
    do {
      let file = try MappedFile(weightsPath)
      encoder = try Encoder(
        configuration: files.configuration, weights: SafetensorsFile(file.bytes, owner: file))
    } catch {
      throw ServiceError(
        .badData, "\(weightsPath): \(error)", try: "fetch it again: ops/fetch-backbone")
    }
    let settings = try TokenizerSettings(folder: folder)
    let vocabularyPath = "\(folder)/\(BackboneFiles.vocabularyName)"
    do {
      tokenizer = try WordPieceTokenizer(
        vocabulary: try FileSystem.read(vocabularyPath),
        lowercases: settings.doLowerCase ?? true, stripsAccents: settings.stripAccents,
        tokenizesChineseCharacters: settings.tokenizeChineseChars ?? true)
    } catch {
      throw ServiceError(
        .badData, "\(vocabularyPath): \(error)", try: "fetch it again: ops/fetch-backbone")
    }
    guard tokenizer.vocabularyCount <= files.configuration.vocabularySize else {
      throw ServiceError(
        .badData,
        "\(vocabularyPath) has \(tokenizer.vocabularyCount) words, the weights "
          + "\(files.configuration.vocabularySize)",
        try: "use the vocabulary that belongs to the weights")
    }
  }

  package func tokens(_ text: String, pair: String?, maximumTokens: Int) -> TokenSequence {
    tokenizer.encode(text, pair: pair, maximumTokens: longestInput(maximumTokens: maximumTokens))
  }

  /// What is asked for, within what the backbone has positions for.
  package func longestInput(maximumTokens: Int) -> Int {
    min(maximumTokens, files.configuration.positionCount)
  }

  /// The fields of `tokenizer_config.json` that change tokens, their snake_case names converted.
  private struct TokenizerSettings: Decodable {
    var doLowerCase: Bool?
    var stripAccents: Bool?
    var tokenizeChineseChars: Bool?

    init(folder: String) throws {
      let path = "\(folder)/\(BackboneFiles.tokenizerConfigurationName)"
      guard FileSystem.exists(path) else { return }
      do {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(Self.self, from: Data(try FileSystem.read(path)))
      } catch {
        throw ServiceError(.badData, "\(path): \(error)", try: "fetch it again")
      }
    }
  }
}

/// The bytes of a trained block: adapters of its layers, and its head.
package enum BlockArtifact {
  /// A PEFT adapter's tensor file, so that a stored block can be looked at with common tools.
  package static func encode(
    _ adapters: [Adapter], _ head: ClassifierHead, _ recipe: TrainingRecipe
  )
    -> [UInt8]
  {
    SafetensorsWriter.encode(
      PEFTAdapter(
        rank: recipe.rank, alpha: recipe.alpha, rankStabilized: recipe.rankStabilized,
        adapters: adapters, head: head
      ).tensors, metadata: [:])
  }

  package static func decode(_ bytes: [UInt8], _ recipe: TrainingRecipe) throws -> PEFTAdapter {
    try decode(
      bytes, rank: recipe.rank, alpha: recipe.alpha, rankStabilized: recipe.rankStabilized)
  }

  package static func decode(
    _ bytes: [UInt8], rank: Int, alpha: Double, rankStabilized: Bool
  ) throws -> PEFTAdapter {
    let settings = PEFTAdapter(
      rank: rank, alpha: alpha, rankStabilized: rankStabilized, adapters: [], head: nil)
    return try PEFTAdapter(configuration: settings.encode().configuration, tensors: bytes)
  }
}
