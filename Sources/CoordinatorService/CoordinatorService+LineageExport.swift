import CoordinatorAPI
import CoordinatorCore
import HTTP
import Unlearning

extension CoordinatorService {
  /// `GET /v1/lineage/blocks?shard=N`: what every standing block of a shard was made from, parents
  /// first.
  func standingBlocks(_ request: HTTPRequest) throws -> [BlockLineage] {
    let text = request.query["shard"] ?? ""
    return try ask { [self] coordinator in
      let state = coordinator.state
      guard let shard = Int(text), (0..<state.plan.shardCount).contains(shard) else {
        throw APIFailure(
          404, "there is no shard \(text)", try: "shards are 0 to \(state.plan.shardCount - 1)")
      }
      // Sequences that share a prefix share its blocks.
      var seen: Set<BlockKey> = []
      return state.plan.slots(ofShard: shard).filter { slot in
        state.block(at: slot).map { seen.insert($0.key).inserted } ?? false
      }.map { blockLineage($0, coordinator) }
    }
  }
}
