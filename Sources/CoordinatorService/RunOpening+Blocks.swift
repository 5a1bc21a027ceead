import CoordinatorCore
import Storage
import Unlearning

extension OpenedRun {
  /// The standing blocks that are not what their places demand, each with a sentence for people.
  ///
  /// An earlier version took whatever could be read. A block that was trained from one of these is
  /// none either, whatever it looks like: its key says that it continues the block that belongs
  /// there.
  static func unfit(_ state: RunState, _ directory: RunDirectory, _ gate: UploadGate)
    -> [(block: CommittedBlock, reason: String)]
  {
    var found: [(block: CommittedBlock, reason: String)] = []
    var bad: Set<BlockKey> = []
    // Parents come first.
    let standing = state.standing.sorted {
      ($0.key.stage, $0.key) < ($1.key.stage, $1.key)
    }
    for (slot, key) in standing where !bad.contains(key) {
      guard let block = state.block(at: slot) else { continue }
      let place = "the block at \(slot.shard)/\(slot.sequence)/\(slot.stage)"
      if let parent = slot.parent.flatMap({ state.standing[$0] }), bad.contains(parent) {
        bad.insert(key)
        found.append((block, "\(place) was trained from one that is none"))
      } else if let problem = problem(of: block, at: slot, state, directory, gate) {
        bad.insert(key)
        found.append((block, "\(place): \(problem)"))
      }
    }
    return found
  }

  /// Why a standing block cannot be what its slot demands; `nil` if it can, or cannot be read.
  static func problem(
    of block: CommittedBlock, at slot: BlockSlot, _ state: RunState, _ directory: RunDirectory,
    _ gate: UploadGate
  ) -> UploadGate.Problem? {
    guard let demand = state.demand(of: slot),
      let bytes = try? directory.artifacts.get(block.artifact)
    else { return nil }
    // Only a stage without records is held to the bytes of its parent.
    let parent = demand.isEmpty ? demand.parent.flatMap { try? directory.artifacts.get($0) } : nil
    // Without the block before it nobody can say which head it had to hand on.
    guard !demand.isEmpty || slot.parent == nil || parent != nil else { return nil }
    do throws(UploadGate.Problem) {
      try gate.check(bytes, demand, parent: parent)
      return nil
    } catch {
      return error
    }
  }
}
