import CoordinatorCore
import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import Storage
import SystemIO
import Unlearning

extension CoordinatorService {
  /// Removes the bytes a purge order names; tries again until it can.
  func purge(_ order: PurgeOrder) {
    while true {
      do {
        for location in order.slices {
          // The newest state: records deleted since the order go too.
          let state = loop.inspect { $0.state }
          try directory.slices.write(try directory.liveRecords(location, state), to: location)
        }
        // Whoever read the old files may still hold what was in them.
        directory.readers.waitForCurrent()
        try removeArtifacts(order.artifacts)
        for path in order.exports { try removeExport(path) }
        // The journal's older segments still know the digests of what was deleted; a snapshot of
        // the present takes their place.
        try snapshot()
        return loop.post(.purgeFinished(throughDeletion: order.throughDeletion))
      } catch {
        log.write("purge_failed", "\(error); trying again")
      }
      SystemClock.sleep(seconds: 5)
    }
  }

  private func removeArtifacts(_ digests: [Digest]) throws {
    let removal = loop.inspect { [directory] coordinator in
      Result {
        for digest in digests where coordinator.state.artifactUses[digest] == nil {
          try directory.artifacts.remove(digest)
        }
      }
    }
    try removal.get()
  }

  /// Removes the files of an export, and its folder if nothing else is in it.
  private func removeExport(_ path: String) throws {
    for name in [PEFTAdapter.configurationName, PEFTAdapter.tensorsName] {
      try FileSystem.remove("\(path)/\(name)")
    }
    if FileSystem.exists(path) {
      try FileSystem.synchronizeDirectory(path)
      try FileSystem.removeDirectoryIfEmpty(path)
    }
    log.write("export_removed", "it held a block that saw a deleted record")
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
    let first = Set(try directory.uncatalogued(loop.inspect { $0.state }))
    guard !first.isEmpty else { return [] }
    SystemClock.sleep(seconds: 0.2)
    return try directory.uncatalogued(loop.inspect { $0.state }).filter(first.contains)
  }
}
