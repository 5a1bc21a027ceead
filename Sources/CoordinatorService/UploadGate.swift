import CoordinatorCore
import Hashing
import ModelFormats
import Unlearning
import WireFormat

/// Judges what workers hand in, before the state machine hears of it: between the two stands
/// nothing that was only claimed.
///
/// A plain value: it has the run's form of a block and knows no file or connection.
package struct UploadGate: Sendable {
  package let form: BlockForm
  private let recipe: TrainingRecipe
  private let layerGroups: [Range<Int>]

  package init(_ run: RunDescription, _ plan: RunPlan, _ configuration: EncoderConfiguration) {
    form = BlockForm(run.recipe, configuration)
    recipe = run.recipe
    layerGroups = plan.layerGroups
  }

  /// Holds trained bytes and the figures that came with them against what the plan demands.
  ///
  /// - Parameter parent: the bytes of the block before it; looked at for a stage without records,
  ///   which must hand on that block's head.
  package func check(
    _ bytes: [UInt8], _ work: TrainingWork, _ demand: BlockDemand, parent: [UInt8]?
  ) throws(Problem) {
    try check(bytes, demand, parent: parent)
    do throws(FigureProblem) {
      try work.check(demand)
    } catch {
      throw .figures(error)
    }
  }

  /// The same for bytes that have been stored already.
  package func check(_ bytes: [UInt8], _ demand: BlockDemand, parent: [UInt8]?) throws(Problem) {
    do throws(BlockProblem) {
      if demand.isEmpty {
        try form.checkHandedOn(bytes, parent: parent)
      } else {
        try form.check(bytes, layers: demand.layers)
      }
    } catch {
      throw .artifact(error)
    }
  }

  /// What the longest block of the run comes to, and the longest checkpoint.
  ///
  /// A checkpoint is a worker's own; but it cannot need more than a few copies of all that is
  /// trained, and a loss for every step.
  package func limits(recordCount: Int) -> ContentLimits {
    let longest = layerGroups.map { form.byteCount(layers: $0) }.max() ?? 0
    let stepCount = recipe.stepCount(recordCount: recordCount)
    let losses = stepCount > Self.mostLossBytes / 8 ? Self.mostLossBytes : 8 * stepCount
    return ContentLimits(
      uploadByteCount: longest,
      checkpointByteCount: Self.checkpointCopies * longest + losses + Self.checkpointRoom)
  }

  private static let checkpointCopies = 8
  private static let checkpointRoom = 64 << 10
  private static let mostLossBytes = 256 << 20
}

extension UploadGate {
  /// Why something that was handed in is refused.
  package enum Problem: Error, Equatable, CustomStringConvertible {
    case artifact(BlockProblem)
    case figures(FigureProblem)

    package var kind: Misconduct.Kind {
      switch self {
      case .artifact: .artifact
      case .figures: .figures
      }
    }

    package var description: String {
      switch self {
      case .artifact(let problem): "the artifact is not the block that was leased: \(problem)"
      case .figures(let problem): "the figures are not those of the block: \(problem)"
      }
    }
  }
}

/// Why a worker's answer to a question is not one.
package enum AnswerProblem: Error, Equatable, CustomStringConvertible {
  case count(Int, expected: Int)
  case scores(Int, expected: Int)
  case notFinite

  package var description: String {
    switch self {
    case .count(let found, let expected): "\(found) answers to \(expected) texts"
    case .scores(let found, let expected): "\(found) numbers for \(expected) labels"
    case .notFinite: "a number that is not finite"
    }
  }
}

extension [ShardedPrediction] {
  /// Holds answers against the question: for every text one finite number for every label.
  package func check(textCount: Int, labelCount: Int) throws(AnswerProblem) {
    guard count == textCount else { throw .count(count, expected: textCount) }
    for prediction in self {
      guard prediction.logits.count == labelCount else {
        throw .scores(prediction.logits.count, expected: labelCount)
      }
      guard prediction.logits.allSatisfy(\.isFinite) else { throw .notFinite }
    }
  }
}
