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

  /// Asks workers, a few texts at a time so that nothing waits long behind a question; asks again
  /// what was answered with blocks that were masked meanwhile.
  func predict(_ request: PredictionRequest) throws -> PredictionResponse {
    let pieces = try PredictionLimits.pieces(of: request.records)
    let maximumDepth = request.maximumDepth ?? .max
    guard maximumDepth >= 1 else { throw APIFailure(400, "maximumDepth is below 1") }
    let aggregation = try aggregation(of: request)
    let serving = try serving(of: request)
    let deadline = SystemClock.seconds + Self.predictionDeadlineSeconds
    var turn = Int(
      predictionTurn.withLock { turn in
        turn &+= 1
        return turn
      })
    var reason = "no worker that serves predictions is connected"
    var answered = [Answered?](repeating: nil, count: pieces.count)
    var attempt = 0
    // Whose answer to this question was none is not asked it again.
    var refused: Set<WorkerID> = []
    while SystemClock.seconds < deadline, attempt < 20 {
      if attempt > 0 { SystemClock.sleep(seconds: 0.05 * Double(attempt)) }
      attempt += 1
      turn += 1
      let view = try servingView(serving, maximumDepth)
      for index in pieces.indices where answered[index] == nil {
        guard let link = servingLink(turn: turn, except: refused) else { break }
        let inputs = request.records[pieces[index]].map {
          PredictionInput(text: $0.text, textPair: $0.textPair)
        }
        let answer = link.ask(
          .predict(view, inputs, aggregation), timeoutSeconds: deadline - SystemClock.seconds
        ) { [loop] in
          loop.inspect { $0.state.isCurrent(view) }
        }
        switch answer {
        case .predictions(let predictions):
          do throws(AnswerProblem) {
            try predictions.check(textCount: inputs.count, labelCount: recipe.labels.count)
          } catch {
            note(.answer, "it answered with \(error)", from: link)
            refused.insert(link.id)
            reason = "a worker's answer was refused, and no other worker answered"
            break
          }
          answered[index] = Answered(view: view, predictions: predictions)
          continue
        case .predictionFailed(let text): reason = text
        default: reason = "the worker left or fell silent while it was answering"
        }
        break
      }
      if let response = finish(request, pieces, &answered, aggregation) { return response }
    }
    throw APIFailure(503, reason, try: "start a worker with --role serve or all, then ask again")
  }

  /// Some of a request's texts with their answers, and what gave them.
  private struct Answered: Sendable {
    let view: [ServedPrefix]
    let predictions: [ShardedPrediction]
  }

  private func servingView(_ serving: ServingRule, _ maximumDepth: Int) throws -> [ServedPrefix] {
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
    return view
  }

  /// The whole answer, if every part is there and may leave.
  ///
  /// A deletion may have been acknowledged since a part's view was taken; then that part depends on
  /// a record that is gone, and is dropped.
  private func finish(
    _ request: PredictionRequest, _ pieces: [Range<Int>], _ answered: inout [Answered?],
    _ aggregation: Aggregation
  ) -> PredictionResponse? {
    let views = answered.map { $0?.view }
    let shards = loop.inspect { coordinator in
      views.map { view -> [PredictionResponse.Shard]? in
        guard let view, coordinator.state.isCurrent(view) else { return nil }
        return view.map { prefix in
          PredictionResponse.Shard(
            shard: prefix.shard, sequence: prefix.sequence, depth: prefix.depth,
            blocks: request.explain == true ? Self.blocks(of: prefix, coordinator.state) : nil)
        }
      }
    }
    for index in answered.indices where shards[index] == nil { answered[index] = nil }
    guard !answered.contains(where: { $0 == nil }) else { return nil }
    var items: [PredictionResponse.Item] = []
    for (index, piece) in pieces.enumerated() {
      items += zip(request.records[piece], answered[index]!.predictions).map {
        answer($0, $1.logits, shards: shards[index]!)
      }
    }
    return PredictionResponse(predictions: items, aggregation: aggregation.rawValue)
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

extension PredictionLimits {
  /// The pieces of a request that keeps to the limits.
  fileprivate static func pieces(of items: [PredictionRequest.Item]) throws(APIFailure)
    -> [Range<Int>]
  {
    guard !items.isEmpty else { throw APIFailure(400, "no text was given") }
    guard items.count <= textCount else {
      throw APIFailure(
        413, "the request has \(items.count) texts, more than \(textCount)",
        try: "ask in several requests, as lethe predict --file does")
    }
    let bytes = items.reduce(0) { $0 + byteCount(of: $1) }
    guard bytes <= byteCount else {
      throw APIFailure(
        413, "the request's texts have \(bytes) bytes, more than \(byteCount)",
        try: "ask in several requests, as lethe predict --file does")
    }
    return ranges(of: items)
  }
}
