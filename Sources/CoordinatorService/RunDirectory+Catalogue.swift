import CoordinatorCore
import Hashing
import JournalFormat
import Storage
import SystemIO
import Unlearning

extension RunDirectory {
  /// Every file in the run's directory and the journal's folders that the state does not explain.
  ///
  /// The catalogue is the state itself: slices and artifacts follow from what is live or waits for
  /// its purge; the rest has fixed names. So a file cannot hold record bytes without a deletion
  /// knowing where to look for them.
  package func uncatalogued(_ state: RunState) throws -> [String] {
    var found: [String] = []
    let fixed: Set = [
      "lock", "salts", "salts" + SaltStore.reserveSuffix, "tombstone.key", "token", "endpoint.json",
    ]
    let folders: Set = ["slices", "artifacts"]
    let journals = [journalFolders.0, journalFolders.1]
    for name in try FileSystem.list(path)
    where !fixed.contains(name) && !folders.contains(name)
      && !journals.contains("\(path)/\(name)")
    {
      found.append("\(path)/\(name)")
    }
    for folder in journals {
      found += JournalListing(names: try FileSystem.list(folder)).unknown.map {
        "\(folder)/\($0)"
      }
    }
    let slices = try sliceFiles(state)
    found += slices.map { "\(path)/slices/\($0)" }
    for folder in try FileSystem.list("\(path)/artifacts") {
      for name in try FileSystem.list("\(path)/artifacts/\(folder)") {
        let digest = Digest(hex: folder + name)
        let isKnown = digest.map {
          state.artifactUses[$0] != nil || state.artifactsToPurge.contains($0)
        }
        if isKnown != true { found.append("\(path)/artifacts/\(folder)/\(name)") }
      }
    }
    return found
  }

  /// Slice files other than the ones the state's digests name; a slice that waits for its purge may
  /// still have an earlier version.
  private func sliceFiles(_ state: RunState) throws -> [String] {
    var expected: Set<String> = []
    for shard in state.slices.indices {
      for slice in state.slices[shard].indices {
        let location = SliceLocation(shard: shard, slice: slice)
        expected.insert(SliceStore.name(of: location, state.slices[shard][slice].digest))
      }
    }
    let waiting = state.slicesToPurge.map(SliceStore.prefix)
    return try FileSystem.list("\(path)/slices").filter { name in
      !expected.contains(name) && !waiting.contains { name.hasPrefix($0) }
    }
  }
}
