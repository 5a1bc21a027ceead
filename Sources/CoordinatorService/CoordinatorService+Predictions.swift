import CoordinatorAPI
import CoordinatorCore
import HTTP
import Hashing
import ServiceSupport
import SystemIO
import Unlearning
import WireFormat

extension CoordinatorService {
  private static let predictionDeadlineSeconds = 60.0

  /// Asks a worker; asks again if what it answered with was masked meanwhile.
  func predict(_ request: PredictionRequest) throws -> PredictionResponse {
    guard !request.records.isEmpty else { throw APIFailure(400, "no text was given") }
    let maximumDepth = request.maximumDepth ?? .max
    guard maximumDepth >= 1 else { throw APIFailure(400, "maximumDepth is below 1") }
    let aggregation = try aggregation(of: request)
    let serving = try serving(of: request)
    let inputs = request.records.map { PredictionInput(text: $0.text, textPair: $0.textPair) }
    let deadline = SystemClock.seconds + Self.predictionDeadlineSeconds
    var turn = Int(
      predictionTurn.withLock { turn in
        turn &+= 1
        return turn
      })
    var reason = "no worker that serves predictions is connected"
    var attempt = 0
    // Whose answer to this question was none is not asked it again.
    var refused: Set<WorkerID> = []
    while SystemClock.seconds < deadline, attempt < 20 {
      if attempt > 0 { SystemClock.sleep(seconds: 0.05 * Double(attempt)) }
      attempt += 1
      turn += 1
      let (view, isBehind) = loop.report { view, reports in
        let coordinator = view.coordinator
        let prefixes =
          maximumDepth == .max && serving == .deepest
          ? reports.compactMap(\.served)
          : coordinator.state.servingView(serving, maximumDepth: maximumDepth)
        return (prefixes, coordinator.isBehind)
      }
      guard !isBehind else {
        throw APIFailure(
          503, "a worker has seen deletions that this run does not know; nothing is served",
          try: "stop, and restore with lethe restore, which replays them")
      }
      guard !view.isEmpty else {
        throw APIFailure(
          503, "no shard has a trained block that may serve",
          try: "start training, or wait for repair: lethe status shows what is missing")
      }
      guard let link = servingLink(turn: turn, except: refused) else { continue }
      let seconds = deadline - SystemClock.seconds
      switch link.ask(.predict(view, inputs, aggregation), timeoutSeconds: seconds) {
      case .predictions(let predictions):
        do throws(AnswerProblem) {
          try predictions.check(textCount: inputs.count, labelCount: recipe.labels.count)
        } catch {
          note(.answer, "it answered with \(error)", from: link)
          refused.insert(link.id)
          reason = "a worker's answer was refused, and no other worker answered"
          continue
        }
        // A deletion may have been acknowledged since the view was taken; then this answer depends
        // on a record that is gone and must not leave.
        let (isCurrent, blocks) = loop.inspect { coordinator in
          (
            coordinator.state.isCurrent(view),
            request.explain == true ? view.map { Self.blocks(of: $0, coordinator.state) } : nil
          )
        }
        guard isCurrent else { continue }
        let shards = view.indices.map {
          PredictionResponse.Shard(
            shard: view[$0].shard, sequence: view[$0].sequence, depth: view[$0].depth,
            blocks: blocks?[$0])
        }
        return PredictionResponse(
          predictions: zip(request.records, predictions).map {
            answer($0, $1.logits, shards: shards)
          }, aggregation: aggregation.rawValue)
      case .predictionFailed(let text): reason = text
      default: reason = "the worker left or fell silent while it was answering"
      }
    }
    throw APIFailure(503, reason, try: "start a worker with --role serve or all, then ask again")
  }

  private func aggregation(of request: PredictionRequest) throws -> Aggregation {
    guard let name = request.aggregation else { return aggregation }
    guard let rule = Aggregation(rawValue: name) else {
      throw APIFailure(
        400, "there is no aggregation \(name)",
        try: "use one of \(Aggregation.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    guard rule.averagesNumbers || !recipe.isRegression else {
      throw APIFailure(400, "numbers are averaged; \(name) is for classes")
    }
    return rule
  }

  private func serving(of request: PredictionRequest) throws -> ServingRule {
    guard let name = request.serving else { return serving }
    guard let rule = ServingRule(rawValue: name) else {
      throw APIFailure(
        400, "there is no way to serve called \(name)",
        try: "use one of \(ServingRule.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return rule
  }

  private static func blocks(of prefix: ServedPrefix, _ state: RunState)
    -> [PredictionResponse.Block]
  {
    (1...prefix.depth).compactMap { stage in
      let slot = BlockSlot(shard: prefix.shard, sequence: prefix.sequence, stage: stage)
      return state.block(at: slot).map {
        PredictionResponse.Block(
          key: $0.key.description, artifact: $0.artifact.hex,
          layers: Array(state.plan.layerGroups[stage - 1]), slices: state.plan.slicesRead(by: slot))
      }
    }
  }

  /// A class by its name, or a number.
  private func answer(
    _ record: PredictionRequest.Item, _ scores: [Double], shards: [PredictionResponse.Shard]
  ) -> PredictionResponse.Item {
    // The first of equal scores, so that a tie has one answer.
    let best = scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
    return PredictionResponse.Item(
      id: record.id,
      label: recipe.isRegression ? "\(scores[best])" : recipe.labels[best], logits: scores,
      shards: shards)
  }
}
