import CoordinatorCore
import Evaluation
import Hashing
import ModelFormats
import ServiceSupport
import Training
import Unlearning
import WireFormat
import WorkerCore

/// Answers texts with a served prefix of every shard.
struct Ensemble: Sendable {
  let model: LoadedModel
  let recipe: TrainingRecipe
  /// Keeps the members between questions.
  let memory: RecordMemory

  /// The shards' answers, made one by the task's rule; members of earlier views are dropped first.
  ///
  /// A text goes through the layers below all shards' adapters once. Its answer does not depend on
  /// the texts beside it.
  func answer(
    _ task: AnswerTask, for use: RecordMemory.Use
  ) throws -> [ShardedPrediction] {
    let (view, inputs) = (task.view, task.inputs)
    let wanted = Set(view.map(\.artifacts))
    // Two views alternate while someone asks for a smaller depth; more are not worth the memory.
    memory.trimMembers(to: wanted, limit: 4 * max(wanted.count, 1))
    let sequences = inputs.map {
      model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
    }
    let members = try view.map { try member($0, of: task, for: use) }
    let workplace = memory.takeWorkplace(model.encoder)
    defer { memory.putBack(workplace, for: use) }
    let logits = try model.encoder.logits(of: sequences, members: members, memory: workplace)
    return inputs.indices.map { text in
      ShardedPrediction(
        logits: task.aggregation.scores(
          of: zip(view, logits).map { prefix, rows in
            ShardAnswer(depth: prefix.artifacts.count, logits: rows[text].map(Double.init))
          }))
    }
  }

  private func member(
    _ prefix: ServedPrefix, of task: AnswerTask, for use: RecordMemory.Use
  ) throws -> RecordMemory.Member {
    if let known = memory.member(prefix.artifacts) { return known }
    let blocks = try prefix.artifacts.compactMap { digest in
      try task.artifacts[digest].map { try BlockArtifact.decode($0, recipe) }
    }
    let head =
      blocks.last?.head
      ?? .zero(labelCount: recipe.labels.count, hiddenSize: model.files.configuration.hiddenSize)
    let member = RecordMemory.Member(
      encoder: try model.encoder.adapted(by: blocks.flatMap(\.adapters)), head: head)
    memory.keep(member, prefix.artifacts, for: use)
    return member
  }
}
