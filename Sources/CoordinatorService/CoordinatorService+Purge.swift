import CoordinatorCore
import Foundation
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning

extension CoordinatorService {
  /// Cleans every place of the run's directory, each by itself: one that fails is tried again by
  /// the loop's word, and keeps no other waiting.
  func purge(_ order: PurgeOrder) {
    for place in PurgePlace.own { purge(order, place) }
  }

  func purge(_ order: PurgeOrder, _ place: PurgePlace) {
    var problem: String?
    do {
      try clean(place, order)
    } catch {
      problem = "\(error)"
      log.write(.purgeFailed, "the \(place.word)", [.error: Log.Value(error)])
    }
    loop.post(.purgeReported(place, throughDeletion: order.throughDeletion, problem: problem))
  }

  private func clean(_ place: PurgePlace, _ order: PurgeOrder) throws {
    switch place {
    case .slices:
      // Whoever reads may look at rows that are about to go, or hold what was in the files.
      directory.readers.waitForCurrent()
      try directory.slices.erase(order.rows, of: table)
      directory.readers.waitForCurrent()
    case .artifacts: try removeArtifacts(order.artifacts)
    case .checkpoints: try removeCheckpoints()
    // The journal's older segments still know the slices' digests from before; a snapshot of the
    // present takes their place.
    case .journal: try snapshot()
    // Its own messages say how far it is.
    case .worker: break
    }
  }

  private func removeArtifacts(_ digests: [Digest]) throws {
    var rest = digests
    while true {
      let removal = loop.inspect { [intake, rest] coordinator in
        Result {
          // Bytes that a worker is just handing in may be wanted again: wait for the decision.
          try rest.filter { digest in
            guard coordinator.state.artifactUses[digest] == nil else { return false }
            return try !intake.removeUnlessArriving(digest)
          }
        }
      }
      rest = try removal.get()
      guard !rest.isEmpty else { return }
      SystemClock.sleep(seconds: 0.01)
    }
  }

  /// Removes every checkpoint but those of stages that are being trained or wait to be.
  private func removeCheckpoints() throws {
    // A checkpoint that came with a lease that has ended meanwhile may still be on its way to disk.
    checkpointWriters.waitForCurrent()
    let keys = Array(directory.checkpoints.all.keys)
    let stale = loop.inspect { coordinator in
      keys.filter { coordinator.checkpoints[$0] == nil && coordinator.leases[$0] == nil }
    }
    try directory.checkpoints.removeAll(stale)
  }

  /// Writes the present state in front of a new journal segment and retires what is older.
  func snapshot() throws {
    try snapshotting.withLock { _ in
      let capture = try loop.capture()
      let digest = try Journal.writeSnapshot(
        capture.state.encoded, through: capture.sequence, chain: capture.chain,
        to: directory.journalFolders)
      loop.post(.snapshotWritten(through: capture.sequence, digest: digest))
      // Answered only once the entry that names the snapshot is durable.
      loop.inspect { _ in }
      try Journal.retire(before: capture.sequence, in: directory.journalFolders)
    }
  }

  /// Files in the run's directory that nothing explains: bytes a deletion could miss.
  ///
  /// A file must be unexplained twice, as one may be between being written and being named.
  func uncataloguedFiles() throws -> [String] {
    let first = Set(try unexplainedFiles())
    guard !first.isEmpty else { return [] }
    SystemClock.sleep(seconds: 0.2)
    return try unexplainedFiles().filter(first.contains)
  }

  /// Listed first and judged in the loop, so that no copy of the state outlives the question.
  private func unexplainedFiles() throws -> [String] {
    let listing = try directory.listing()
    return loop.inspect { [directory, intake] coordinator in
      directory.uncatalogued(listing, coordinator) { intake.isArriving($0) }
    }
  }
}
