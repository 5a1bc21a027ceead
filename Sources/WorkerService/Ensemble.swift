import CoordinatorCore
import Hashing
import ModelFormats
import ServiceSupport
import Training
import Unlearning
import WireFormat

/// Answers texts with a served prefix of every shard.
struct Ensemble {
  let model: LoadedModel
  let recipe: TrainingRecipe
  /// Shards folded into the backbone, by the artifacts they consist of.
  private var members: [[Digest]: (encoder: AdaptedEncoder, head: ClassifierHead)] = [:]

  init(model: LoadedModel, recipe: TrainingRecipe) {
    self.model = model
    self.recipe = recipe
  }

  mutating func forget() {
    members = [:]
  }

  /// Mean of the shards' logits; members of earlier views are dropped first.
  mutating func answer(
    _ inputs: [PredictionInput], view: [ServedPrefix], artifact: (Digest) throws -> [UInt8]
  ) throws -> [ShardedPrediction] {
    let wanted = Set(view.map(\.artifacts))
    // Two views alternate while someone asks for a smaller depth; more are not worth the memory.
    if members.count > 4 * max(wanted.count, 1) {
      members = members.filter { wanted.contains($0.key) }
    }
    let sequences = inputs.map {
      model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
    }
    var sums = [[Double]](
      repeating: Array(repeating: 0, count: recipe.labels.count), count: inputs.count)
    for prefix in view {
      let member = try member(prefix, artifact)
      let logits = try member.encoder.logits(of: sequences, head: member.head)
      for (index, row) in logits.enumerated() {
        for (label, logit) in row.enumerated() { sums[index][label] += Double(logit) }
      }
    }
    return sums.map { row in
      ShardedPrediction(logits: row.map { $0 / Double(view.count) })
    }
  }

  private mutating func member(_ prefix: ServedPrefix, _ artifact: (Digest) throws -> [UInt8])
    throws -> (encoder: AdaptedEncoder, head: ClassifierHead)
  {
    if let known = members[prefix.artifacts] { return known }
    let blocks = try prefix.artifacts.map { try BlockArtifact.decode(try artifact($0), recipe) }
    let head =
      blocks.last?.head
      ?? .zero(labelCount: recipe.labels.count, hiddenSize: model.files.configuration.hiddenSize)
    let member = (
      encoder: try model.encoder.adapted(by: blocks.flatMap(\.adapters)), head: head
    )
    members[prefix.artifacts] = member
    return member
  }
}
