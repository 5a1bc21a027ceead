import Ledger
import Unlearning

/// Something that a deletion waits for.
package struct DeletionWait: Equatable, Sendable {
  /// The word of a place, `export`, `purge` for one that goes first, or `repair`.
  package let place: String
  /// `working`, or `waiting` until it is tried again.
  package let state: String
  /// Whose it is, where there are several: a worker's name or an export's path.
  package let subject: String?
  /// Why it failed last.
  package let reason: String?
  package let since: Milliseconds
  /// In the run's own directory.
  package let isOwn: Bool

  init(
    place: String, state: String, subject: String? = nil, reason: String? = nil,
    since: Milliseconds, isOwn: Bool = false
  ) {
    self.place = place
    self.state = state
    self.subject = subject
    self.reason = reason
    self.since = since
    self.isOwn = isOwn
  }
}

/// Purges in numbers.
package struct PurgeFigures: Equatable, Sendable {
  /// When the oldest deletion that is not purged was accepted.
  package var oldestUnpurged: Milliseconds?
  /// Places that the present purge waits for, by their word.
  package var waiting: [String: Int] = [:]
  /// Exports that could not be removed.
  package var exportsOutOfReach = 0
}

extension Coordinator {
  /// What the present purge waits for, and exports that are still to be removed.
  package var purgeWaits: [DeletionWait] {
    var waits: [DeletionWait] = []
    for place in PurgePlace.own {
      guard let progress = purge?.places[place], !progress.isSettled else { continue }
      waits.append(wait(for: place.word, progress, isOwn: true))
    }
    for id in purge?.workersToHear ?? [] {
      guard let progress = purge?.places[.worker(id)] else { continue }
      waits.append(
        wait(for: PurgePlace.worker(id).word, progress, of: workers[id]?.introduction.name))
    }
    return waits + exportWaits
  }

  private var exportWaits: [DeletionWait] {
    exportRemovals.sorted { $0.key < $1.key }.map { wait(for: "export", $1, of: $0) }
  }

  private func wait(
    for place: String, _ progress: PlaceProgress, of subject: String? = nil, isOwn: Bool = false
  ) -> DeletionWait {
    var state = "working"
    if case .waiting = progress.standing { state = "waiting" }
    return DeletionWait(
      place: place, state: state, subject: subject, reason: progress.reason,
      since: progress.since.wall, isOwn: isOwn)
  }

  /// What keeps a deletion from its next state; empty once it is certified.
  package func waits(of deletion: Deletion) -> [DeletionWait] {
    guard deletion.certifiedAt == nil else { return [] }
    var waits: [DeletionWait] = []
    if deletion.purgedAt == nil {
      if let order = purge?.order, order.throughDeletion < deletion.number {
        waits.append(
          DeletionWait(
            place: "purge", state: "waiting",
            reason: "the purge of the deletions up to \(order.throughDeletion) goes first",
            since: deletion.acceptedAt))
      }
      // Exports are ordered away with the deletion, not with the purge.
      waits += purge == nil ? exportWaits : purgeWaits
    }
    if deletion.repairedAt == nil { waits += repairWait(of: deletion) }
    return waits
  }

  private func repairWait(of deletion: Deletion) -> [DeletionWait] {
    let missing = deletion.masked.map { BlockSlot($0.place) }.filter { state.block(at: $0) == nil }
    guard let first = missing.first else { return [] }
    let reason = waitingReason(of: first)
    return [
      DeletionWait(
        place: "repair", state: reason == .training ? "working" : "waiting",
        reason: "\(missing.count) blocks to train; the first: \(reason?.word ?? "ready")",
        since: deletion.acceptedAt)
    ]
  }

  package var purgeFigures: PurgeFigures {
    var figures = PurgeFigures()
    figures.oldestUnpurged =
      state.openDeletions.lazy.map { state.deletion($0) }.first { $0.purgedAt == nil }?.acceptedAt
    for wait in purgeWaits { figures.waiting[wait.place, default: 0] += 1 }
    figures.exportsOutOfReach = exportRemovals.values.count { $0.reason != nil }
    return figures
  }

  /// What an operator must know of purges that do not get on.
  package var purgeAlarms: [String] {
    purgeWaits.compactMap { wait in
      guard let reason = wait.reason else { return nil }
      return wait.isOwn
        ? "deleted bytes cannot be removed from the \(wait.place) yet: \(reason)"
        : "the export at \(wait.subject ?? "a path") holds blocks that saw deleted records and is "
          + "out of reach: \(reason); remove it by hand, then lethe exports forget"
    }
  }
}
