import CoordinatorAPI
import CoordinatorCore
import HTTP
import Hashing
import Ledger
import ServiceSupport
import Unlearning
import WireFormat

extension CoordinatorService {
  /// Everything that can be asked over HTTP.
  package static let routes: [Route] =
    probes + overview + training + deletions + ledger + lineage + copies

  /// Bytes of a body with a list of ids or texts.
  private static let manyValues = 64 << 20

  private static let probes = [
    Route("GET", "/", .anybody) { _, _ in dashboard },
    Route("GET", "/livez", .anybody) { service, _ in service.liveness() },
    Route("GET", "/readyz", .anybody) { service, _ in service.readiness() },
    Route("GET", "/metrics", .look) { service, _ in service.metrics() },
  ]

  private static let overview = [
    Route("GET", "/v1/status", .look) { service, _ in HTTPResponse(service.status()) },
    Route("GET", "/v1/events", .look) { service, call in service.events(call.request) },
    Route("GET", "/v1/runs", .look) { service, _ in HTTPResponse(service.runs()) },
    Route("GET", "/v1/plan", .look) { service, _ in HTTPResponse(service.planDescription()) },
    Route("GET", "/v1/shards", .look) { service, _ in
      HTTPResponse(ShardList(shards: service.status().shards))
    },
    Route("GET", "/v1/shards/{shard}", .look) { service, call in
      HTTPResponse(try service.shard(call.parameters["shard"]!))
    },
    Route("GET", "/v1/workers", .look) { service, _ in
      HTTPResponse(WorkerList(workers: service.status().workers))
    },
    Route("GET", "/v1/blocks", .look, query: ["shard"]) { service, call in
      HTTPResponse(try service.blocks(ofShard: call.request.query["shard"]))
    },
  ]

  private static let training = [
    Route("POST", "/v1/train", .operate) { service, call in
      // Without a body as before there was anything to say.
      let wish: TrainingWish =
        call.request.body.isEmpty ? TrainingWish() : try call.request.decoded()
      return HTTPResponse(try service.train(wish))
    },
    Route("POST", "/v1/predictions", .predict, kind: .predict, body: manyValues) {
      service, call in
      HTTPResponse(try service.predict(call.request.decoded()))
    },
    Route("GET", "/v1/recipe", .operate) { service, _ in
      let recipe = service.recipe
      return HTTPResponse(
        RecipeDescription(
          labels: recipe.labels, rank: recipe.rank, alpha: recipe.alpha,
          rankStabilized: recipe.rankStabilized, targets: recipe.targets.map(\.rawValue),
          maximumTokens: recipe.maximumTokens, backbone: service.model.hex))
    },
    Route("GET", "/v1/artifacts", .operate, query: ["digest"]) { service, call in
      guard let digest = Digest(hex: call.request.query["digest"] ?? "") else {
        throw APIFailure(400, "an artifact is named by 64 hexadecimal digits")
      }
      guard case .artifact(let bytes) = service.artifact(digest) else {
        throw APIFailure(404, "no block that stands now has this artifact")
      }
      return HTTPResponse(status: 200, contentType: "application/octet-stream", body: bytes)
    },
  ]

  private static let deletions = [
    Route("POST", "/v1/deletions", .delete, kind: .delete, body: manyValues) { service, call in
      HTTPResponse(
        try service.delete(
          call.request.decoded(), idempotencyKey: call.request.headers["idempotency-key"],
          askedBy: service.caller(call.request)?.name ?? "token"))
    },
    Route("GET", "/v1/deletions", .look, query: ["last"]) { service, call in
      HTTPResponse(
        service.deletionList(
          last: try call.number(ifGiven: "last") ?? .max,
          withOrigins: service.seesOrigins(call.request)))
    },
    Route("POST", "/v1/deletions/plan", .delete, body: manyValues) { service, call in
      HTTPResponse(try service.plan(call.request.decoded()))
    },
    Route("GET", "/v1/deletions/{deletion}", .look) { service, call in
      HTTPResponse(
        try service.deletion(
          call.parameters["deletion"]!, withOrigin: service.seesOrigins(call.request)))
    },
    Route("GET", "/v1/receipts", .receipts, query: ["id"]) { service, call in
      HTTPResponse(status: 200, body: try service.receipt(ofID: call.request.query["id"] ?? ""))
    },
    Route("POST", "/v1/salts/erase", .operate) { service, call in
      let erasure: SaltErasure = try call.request.decoded()
      guard service.loop.eraseSalt(ofDeletion: erasure.deletion) else {
        throw APIFailure(404, "there is no salt of deletion \(erasure.deletion)")
      }
      return HTTPResponse(erasure)
    },
  ]

  private static let ledger = [
    Route("GET", "/v1/ledger/checkpoint", .look) { service, _ in
      HTTPResponse(text: service.checkpoint().text)
    },
    Route("GET", "/v1/ledger/inclusion", .look, query: ["entry"]) { service, call in
      HTTPResponse(status: 200, body: try service.inclusionProof(of: call.number("entry")))
    },
    Route("GET", "/v1/ledger/consistency", .look, query: ["from"]) { service, call in
      HTTPResponse(status: 200, body: try service.consistencyProof(from: call.number("from")))
    },
    Route("POST", "/v1/verify", .audit) { service, _ in HTTPResponse(service.verify()) },
    Route("POST", "/v1/audits", .audit) { service, call in
      HTTPResponse(try service.audit(call.request.decoded()))
    },
  ]

  private static let lineage = [
    Route("GET", "/v1/lineage/records", .audit, query: ["id", "at"]) { service, call in
      HTTPResponse(
        try service.recordLineage(id: call.request.query["id"] ?? "", at: call.sequence()))
    },
    Route("GET", "/v1/lineage/shards/{shard}", .audit, query: ["at"]) { service, call in
      HTTPResponse(try service.shardLineage(call.parameters["shard"]!, at: call.sequence()))
    },
    Route("GET", "/v1/lineage/shards/{shard}/blocks", .audit) { service, call in
      HTTPResponse(try service.standingBlocks(ofShard: call.parameters["shard"]!))
    },
    Route("GET", "/v1/lineage/blocks/{block}", .audit, query: ["at"]) { service, call in
      HTTPResponse(try service.blockLineage(call.parameters["block"]!, at: call.sequence()))
    },
    Route("GET", "/v1/why", .audit, query: ["block"]) { service, call in
      HTTPResponse(try service.history(of: call.request.query["block"] ?? ""))
    },
  ]

  private static let copies = [
    Route("POST", "/v1/backups", .operate) { service, call in
      HTTPResponse(try service.backUp(call.request.decoded()))
    },
    Route("POST", "/v1/exports", .operate, body: 8 << 20) { service, call in
      HTTPResponse(try service.noteExport(call.request.decoded()))
    },
    Route("GET", "/v1/exports", .operate) { service, _ in HTTPResponse(service.exports()) },
    Route("POST", "/v1/exports/forget", .operate) { service, call in
      HTTPResponse(try service.forgetExport(call.request.decoded()))
    },
  ]
}
