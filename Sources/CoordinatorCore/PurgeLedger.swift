import Hashing
import Unlearning

/// Somewhere that bytes of deleted records can be. A purge keeps account of each by itself, so that
/// one that fails keeps no other waiting.
package enum PurgePlace: Hashable, Sendable {
  /// The records' own bytes and their rows in the record table.
  case slices
  /// Trained blocks, and uploads that are not decided yet.
  case artifacts
  case checkpoints
  /// Segments from before the present, and snapshots.
  case journal
  /// The memory of a connected worker, with the questions that it answers.
  case worker(WorkerID)

  /// The places in the run's own directory: no purge ends without them.
  package static let own: [PurgePlace] = [.slices, .artifacts, .checkpoints, .journal]

  /// The word for it in `status`, `deletions` and metrics.
  package var word: String {
    switch self {
    case .slices: "slices"
    case .artifacts: "artifacts"
    case .checkpoints: "checkpoints"
    case .journal: "journal"
    case .worker: "worker"
    }
  }
}

/// How far a purge has come at one place.
package struct PlaceProgress: Equatable, Sendable {
  package enum Standing: Equatable, Sendable {
    /// Someone is at it, or has been asked.
    case underWay
    /// It failed, and is tried again at this time of the clock that never jumps.
    case waiting(until: Milliseconds)
    case done
  }

  package internal(set) var standing = Standing.underWay
  package internal(set) var failures = 0
  /// Why it failed last.
  package internal(set) var reason: String?
  /// When it was asked for first.
  package let since: Moment

  init(since: Moment) {
    self.since = since
  }

  /// A purge has gone on without it; later ones do not wait for it either.
  package private(set) var isLeftOut = false

  package var isSettled: Bool { standing == .done }

  /// Has purges do without it; it goes on being tried, or waited for, by itself.
  mutating func leaveOut(_ reason: String) {
    isLeftOut = true
    self.reason = self.reason ?? reason
  }

  private static let firstBackoff: Milliseconds = 1_000
  private static let longestBackoff: Milliseconds = 60_000

  mutating func fail(_ reason: String, at now: Milliseconds) {
    failures += 1
    self.reason = reason
    let pause = min(Self.firstBackoff << Milliseconds(min(failures - 1, 16)), Self.longestBackoff)
    standing = .waiting(until: now + pause)
  }

  /// Whether its next try is due.
  func isDue(at now: Milliseconds) -> Bool {
    if case .waiting(let until) = standing { until <= now } else { false }
  }
}

/// Bytes to remove: what deletions up to a number left behind.
package struct PurgeOrder: Equatable, Sendable {
  package let throughDeletion: UInt64
  /// Slices that lost a record.
  package let slices: [SliceLocation]
  /// The records' rows: to be overwritten, and the records' own bytes before them.
  package let rows: [Int]
  /// Artifacts to remove, unless a block has come to name one again by then.
  package let artifacts: [Digest]
  /// Exports that hold an artifact of no block and that no earlier purge has done without.
  package let exports: [String]
}

package struct PurgeProgress: Equatable, Sendable {
  package let order: PurgeOrder
  package let startedAt: Moment
  /// Artifacts of the order that blocks have named since. If they are withdrawn again before the
  /// purge has ended, nobody may think that it removed them: the next one must.
  package internal(set) var named: Set<Digest> = []
  package internal(set) var places: [PurgePlace: PlaceProgress]

  init(_ order: PurgeOrder, workers: some Sequence<WorkerID>, at now: Moment) {
    self.order = order
    startedAt = now
    places = [:]
    for place in PurgePlace.own { places[place] = PlaceProgress(since: now) }
    for id in workers { places[.worker(id)] = PlaceProgress(since: now) }
  }

  /// Workers that have not yet said that they forgot, ascending.
  package var workersToHear: [WorkerID] {
    places.compactMap { place, progress in
      if case .worker(let id) = place, !progress.isSettled { id } else { nil }
    }.sorted()
  }
}
