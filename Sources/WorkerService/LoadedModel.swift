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
  /// Where a run's blocks start from, if it has one.
  package let startingAdapter: AdapterFiles?
  /// Covers the backbone and the starting adapter.
  package let digest: Digest
  package let encoder: Encoder
  package let tokenizer: TextTokenizer

  /// - Parameter adapter: a run's starting adapter, or one to work with alone; the layer before
  ///   the head that it brings with it takes the place of the backbone's.
  /// - Throws: `ServiceError` naming the file that is missing, damaged or of another kind.
  package init(folder: String, adapter: AdapterFiles? = nil) throws {
    files = try BackboneFiles(folder)
    startingAdapter = adapter
    digest = LineageDigest.model(backbone: files.digest, startingAdapter: adapter?.digest)
    try adapter?.check(files.configuration, backbone: folder)
    let weightsPath = "\(folder)/\(BackboneFiles.weightsName)"
    do {
      let file = try MappedFile(weightsPath)
      encoder = try Encoder(
        configuration: files.configuration, weights: SafetensorsFile(file.bytes, owner: file),
        dense: adapter?.adapter.dense)
    } catch {
      throw ServiceError(
        .badData, "\(weightsPath): \(error)", try: "fetch it again: ops/fetch-backbone")
    }
    tokenizer = try TextTokenizer(files)
    guard tokenizer.vocabularyCount <= files.configuration.vocabularySize else {
      throw ServiceError(
        .badData,
        "the vocabulary of \(folder) has \(tokenizer.vocabularyCount) words, the weights "
          + "\(files.configuration.vocabularySize)",
        try: "use the vocabulary that belongs to the weights")
    }
  }

  /// A text as the backbone reads it; longer ones are cut.
  package func tokens(_ text: String, pair: String?, maximumTokens: Int) -> TokenSequence {
    var tokens = tokenizer.encode(
      text, pair: pair, maximumTokens: longestInput(maximumTokens: maximumTokens))
    if !files.configuration.hasTokenTypes { tokens = TokenSequence(ids: tokens.ids) }
    return tokens
  }

  /// What is asked for, within what the backbone has positions for.
  package func longestInput(maximumTokens: Int) -> Int {
    min(maximumTokens, files.configuration.longestSequence)
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
