import CoordinatorAPI
import CoordinatorCore
import Unlearning

extension CoordinatorService {
  /// `GET /v1/lineage/shards/N/blocks`: what every standing block of a shard was made from, parents
  /// first.
  func standingBlocks(ofShard text: String) throws -> BlockLineageList {
    try ask { [self] coordinator in
      let state = coordinator.state
      guard let shard = Int(text), (0..<state.plan.shardCount).contains(shard) else {
        throw APIFailure(
          404, "there is no shard \(text)", try: "shards are 0 to \(state.plan.shardCount - 1)")
      }
      // Sequences that share a prefix share its blocks.
      var seen: Set<BlockKey> = []
      let slots = state.plan.slots(ofShard: shard).filter { slot in
        state.block(at: slot).map { seen.insert($0.key).inserted } ?? false
      }
      return BlockLineageList(blocks: slots.map { blockLineage($0, coordinator) })
    }
  }
}
