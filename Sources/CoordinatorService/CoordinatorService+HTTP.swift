import CoordinatorAPI
import CoordinatorCore
import Foundation
import HTTP
import Hashing
import Ledger
import ServiceSupport
import SystemIO
import Unlearning
import WireFormat

/// An answer other than success.
struct APIFailure: Error {
  var status: Int
  var error: String
  var hint: String?

  init(_ status: Int, _ error: String, try hint: String? = nil) {
    self.status = status
    self.error = error
    self.hint = hint
  }
}

extension CoordinatorService {
  /// Answers one request of people's tools. Who asks is settled here, before any path is looked at.
  func answer(_ request: HTTPRequest) -> HTTPResponse {
    let start = SystemClock.seconds
    let response = probe(request) ?? permitted(request)
    requestLog.withLock {
      $0.add(
        RequestKind(request), status: response.status, seconds: SystemClock.seconds - start)
    }
    return response
  }

  private func permitted(_ request: HTTPRequest) -> HTTPResponse {
    do {
      try authorize(request)
      return try route(request)
    } catch let failure as APIFailure {
      return json(APIError(error: failure.error, hint: failure.hint), status: failure.status)
    } catch {
      log.write("request_failed", "\(request.method) \(request.segments.first ?? "")")
      return json(APIError(error: "\(error)"), status: 500)
    }
  }

  private func route(_ request: HTTPRequest) throws -> HTTPResponse {
    if request.method == "GET", request.segments.count == 4, let name = request.segments.last {
      switch Array(request.segments.dropLast()) {
      case ["v1", "lineage", "shards"]: return json(try shardLineage(name, at: sequence(request)))
      case ["v1", "lineage", "blocks"]: return json(try blockLineage(name, at: sequence(request)))
      default: break
      }
    }
    switch (request.method, request.segments) {
    case ("GET", ["metrics"]): return metrics()
    case ("GET", ["v1", "status"]): return json(status())
    case ("POST", ["v1", "train"]):
      loop.post(.trainingRequested)
      return json(status())
    case ("POST", ["v1", "deletions"]):
      return json(
        try delete(decode(request), idempotencyKey: request.headers["idempotency-key"]))
    case ("POST", ["v1", "deletions", "plan"]): return json(try plan(decode(request)))
    case ("GET", ["v1", "deletions"]): return json(deletionList())
    case ("GET", ["v1", "receipts"]):
      return HTTPResponse(status: 200, body: try receipt(ofID: request.query["id"] ?? ""))
    case ("GET", ["v1", "ledger", "checkpoint"]):
      return HTTPResponse(
        status: 200, contentType: "text/plain; charset=utf-8", body: Array(checkpoint().text.utf8))
    case ("GET", ["v1", "ledger", "proof"]):
      return HTTPResponse(status: 200, body: try ledgerProof(request.query))
    case ("POST", ["v1", "salts", "erase"]):
      let erasure: SaltErasure = try decode(request)
      guard loop.eraseSalt(ofDeletion: erasure.deletion) else {
        throw APIFailure(404, "there is no salt of deletion \(erasure.deletion)")
      }
      return json(erasure)
    case ("POST", ["v1", "audits"]): return json(try audit(decode(request)))
    case ("GET", ["v1", "why"]): return json(try history(of: request.query["block"] ?? ""))
    case ("POST", ["v1", "backups"]): return json(try backUp(decode(request)))
    case ("POST", ["v1", "exports"]): return json(try noteExport(decode(request)))
    case ("GET", ["v1", "lineage", "records"]):
      return json(try recordLineage(id: request.query["id"] ?? "", at: sequence(request)))
    case ("POST", ["v1", "predictions"]): return json(try predict(decode(request)))
    case ("GET", ["v1", "artifacts"]):
      guard let digest = Digest(hex: request.query["digest"] ?? "") else {
        throw APIFailure(400, "an artifact is named by 64 hexadecimal digits")
      }
      guard case .artifact(let bytes) = artifact(digest) else {
        throw APIFailure(404, "no block that stands now has this artifact")
      }
      return HTTPResponse(status: 200, contentType: "application/octet-stream", body: bytes)
    case ("GET", ["v1", "recipe"]):
      return json(
        RecipeDescription(
          labels: recipe.labels, rank: recipe.rank, alpha: recipe.alpha,
          rankStabilized: recipe.rankStabilized, targets: recipe.targets.map(\.rawValue),
          maximumTokens: recipe.maximumTokens, backbone: model.hex))
    case ("POST", ["v1", "verify"]): return json(verify())
    case (_, ["metrics"]), (_, ["v1", "status"]), (_, ["v1", "train"]), (_, ["v1", "deletions"]),
      (_, ["v1", "predictions"]), (_, ["v1", "verify"]), (_, ["v1", "audits"]),
      (_, ["v1", "backups"]), (_, ["v1", "exports"]):
      throw APIFailure(405, "this path does not know \(request.method)")
    default: throw APIFailure(404, "there is nothing at this path")
    }
  }

  private func sequence(_ request: HTTPRequest) throws -> UInt64? {
    guard let text = request.query["at"] else { return nil }
    guard let sequence = UInt64(text), sequence >= 2 else {
      throw APIFailure(400, "at is not a journal sequence", try: "status shows the newest one")
    }
    return sequence
  }

  private func decode<Value: Decodable>(_ request: HTTPRequest) throws -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(request.body))
    } catch {
      throw APIFailure(400, "the body is not the JSON this path takes")
    }
  }

  private func json(_ value: some Encodable, status: Int = 200) -> HTTPResponse {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return HTTPResponse(status: status, body: Array(try encoder.encode(value)))
    } catch {
      // Only a number that JSON cannot write, such as an infinite logit, leads here.
      return HTTPResponse(
        status: 500, body: Array(#"{"error":"the answer holds a number JSON cannot write"}"#.utf8))
    }
  }
}

// MARK: - Predictions

extension CoordinatorService {
  private static let predictionDeadlineSeconds = 60.0

  /// Asks a worker; asks again if what it answered with was masked meanwhile.
  private func predict(_ request: PredictionRequest) throws -> PredictionResponse {
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
      guard let link = servingLink(turn: turn) else { continue }
      let seconds = deadline - SystemClock.seconds
      switch link.ask(.predict(view, inputs, aggregation), timeoutSeconds: seconds) {
      case .predictions(let predictions) where predictions.count == inputs.count:
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
