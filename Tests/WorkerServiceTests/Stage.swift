import CoordinatorCore
import Foundation
import Hashing
import Training
import Unlearning
import WireFormat
import WorkerCore
import WorkerService

/// A stage over the tiny BERT that takes some hundred steps.
enum Stage {
  static let backbone = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/tiny-bert/model").path

  static func recipe(epochs: Int, headStart: HeadStart = .zero) -> TrainingRecipe {
    TrainingRecipe(
      labels: ["a", "b"], rank: 2, epochs: epochs, batchSize: 4, headStart: headStart)
  }

  static let records = ["a small bird", "two dogs ran", "the big tree", "it rained", "we ate"]
    .enumerated().map { index, text in
      Record(id: try! RecordID("r\(index)"), text: text, label: index % 2 == 0 ? "a" : "b")
    }

  static let slice = SliceReference(
    location: SliceLocation(shard: 0, slice: 0),
    digest: LineageDigest.slice(recordDigests: records.map(\.digest)))

  static let assignment = BlockAssignment(
    slot: BlockSlot(shard: 0, sequence: 0, stage: 1), key: BlockKey(SHA256.hash([1])),
    layers: 2..<4, seed: 11, ancestors: [], slices: [slice])

  static func task(checkpoint: [UInt8]? = nil, assignment: BlockAssignment = assignment)
    -> TrainingTask
  {
    TrainingTask(
      epoch: 1, assignment: assignment,
      slices: [TrainingTask.Slice(digest: slice.digest, records: records)], ancestors: [],
      checkpoint: checkpoint)
  }

  static func training(
    epochs: Int, headStart: HeadStart = .zero, memory: RecordMemory = RecordMemory(),
    byteLimit: Int? = nil
  ) throws -> StageTraining {
    StageTraining(
      model: try LoadedModel(folder: backbone),
      recipe: recipe(epochs: epochs, headStart: headStart), memory: memory, byteLimit: byteLimit)
  }

  /// The stage in one go, or from a checkpoint on.
  static func train(epochs: Int, from checkpoint: [UInt8]? = nil) throws
    -> (artifact: [UInt8], work: TrainingWork, firstStep: Int?)
  {
    var firstStep: Int?
    let (artifact, work) = try training(epochs: epochs).train(
      task(checkpoint: checkpoint), for: RecordMemory().begin(), beforeSlice: {},
      onStep: { progress, _ in firstStep = firstStep ?? progress.step })
    return (artifact, work, firstStep)
  }
}
