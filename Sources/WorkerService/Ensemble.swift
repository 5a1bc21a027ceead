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
package struct Ensemble: Sendable {
  private let model: LoadedModel
  private let recipe: TrainingRecipe
  private let memory: RecordMemory

  /// - Parameter memory: Keeps the members between questions.
  package init(model: LoadedModel, recipe: TrainingRecipe, memory: RecordMemory) {
    self.model = model
    self.recipe = recipe
    self.memory = memory
  }

  /// The shards' answers, made one by the task's rule; members of earlier views are dropped first.
  ///
  /// A text goes through the layers below all shards' adapters once. Its answer does not depend on
  /// the texts beside it.
  ///
  /// - Parameter goesOn: Asked before every member works on a few texts.
  /// - Returns: `nil` where it was asked to give up.
  package func answer(
    _ task: AnswerTask, for use: RecordMemory.Use, while goesOn: () -> Bool = { true }
  ) throws -> [ShardedPrediction]? {
    let (view, inputs) = (task.view, task.inputs)
    let wanted = Set(view.map(\.artifacts))
    // Two views alternate while someone asks for a smaller depth; more are not worth the memory.
    memory.trimMembers(to: wanted, limit: 4 * max(wanted.count, 1))
    let sequences = inputs.map {
      model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
    }
    var members: [RecordMemory.Member] = []
    for prefix in view {
      guard goesOn() else { return nil }
      members.append(try member(prefix, of: task, for: use))
    }
    let workplace = memory.takeWorkplace(model.encoder)
    defer { memory.putBack(workplace, for: use) }
    let logits = try model.encoder.logits(
      of: sequences, members: members, memory: workplace, while: goesOn)
    guard let logits else { return nil }
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
