import Unlearning

/// When training was asked for, on the wall clock; kept in memory alone.
struct TrainingRequests: Equatable, Sendable {
  /// The first request, or this process's start where the run had been asked to train before.
  var openedAt: Milliseconds = 0
  /// The latest request of this process's time.
  var latestAt: Milliseconds = 0
}

extension Coordinator {
  /// How long the block that has waited longest has only lacked a worker; `nil` without one.
  ///
  /// Blocks that wait for their parent, a repair's due time or a back-off do not count: more
  /// workers would not help them.
  package func longestWait(_ reports: [ShardReport]) -> Milliseconds? {
    var earliest = reports.compactMap(\.readySince).min()
    for slot in reports.lazy.flatMap(\.unsettled) where standstill(of: slot) == nil {
      earliest = min(earliest ?? .max, waitingSince(slot))
    }
    // A clock that was set back makes nobody wait for less than no time.
    return earliest.map { max(now.wall - $0, 0) }
  }

  /// Since when a slot that nothing keeps from being trained could have been; it follows from
  /// what brought the slot there, so that nothing has to be remembered for it.
  func waitingSince(_ slot: BlockSlot) -> Milliseconds {
    var causes: [Milliseconds] = []
    if let parent = slot.parent.flatMap({ state.block(at: $0) }) { causes.append(parent.at) }
    if let maskedAt = state.maskedSince[slot] {
      causes.append(maskedAt)
      let isRequested = state.repairsRequested.contains(slot)
      switch state.run.repairPolicy {
      case .eager: break
      case .batched(let quiet, let maximumAge):
        let latest = state.deletions.last?.acceptedAt ?? 0
        if !isRequested { causes.append(min(latest + quiet, maskedAt + maximumAge)) }
      case .depthBelow, .manual:
        if isRequested { causes.append(requests.latestAt) }
      }
    }
    if let failures = state.expectedKeys[slot].flatMap({ failures[$0] }) {
      causes.append(now.wall - (now.monotonic - failures.notBefore))
    }
    return causes.max() ?? requests.openedAt
  }
}
