import CoordinatorCore
import Hashing
import JournalFormat
import Storage
import SystemIO
import Unlearning
import WireFormat

/// Names of the files that are there, read without looking at any state.
struct FileListing: Sendable {
  fileprivate struct Name: Sendable {
    var path: String
    var name: String
  }

  /// Files that no state could explain.
  fileprivate var strays: [String] = []
  fileprivate var slices: [Name] = []
  fileprivate var artifacts: [(path: String, digest: Digest)] = []
  fileprivate var checkpoints: [(path: String, key: BlockKey)] = []
}

extension RunDirectory {
  /// Every file in the run's directory and the journal's folders that the state does not explain.
  ///
  /// The catalogue is the state itself: artifacts and checkpoints follow from what is live or waits
  /// for its purge; slices and the rest have fixed names. So a file cannot hold record bytes
  /// without a deletion knowing where to look for them.
  ///
  /// - Parameter isArriving: An artifact or a checkpoint is being stored, and its fate not decided.
  func uncatalogued(
    _ listing: FileListing, _ coordinator: Coordinator, isArriving: (Digest) -> Bool
  ) -> [String] {
    let state = coordinator.state
    var found = listing.strays
    let sliceNames = Set(state.locations.map(SliceStore.name) + [SliceStore.tableName])
    found += listing.slices.filter { !sliceNames.contains($0.name) }.map(\.path)
    for (path, digest) in listing.artifacts
    where state.artifactUses[digest] == nil && !state.artifactsToPurge.contains(digest)
      && !isArriving(digest)
    {
      found.append(path)
    }
    for (path, key) in listing.checkpoints
    where coordinator.checkpoints[key] == nil && coordinator.leases[key] == nil {
      found.append(path)
    }
    return found
  }

  func listing() throws -> FileListing {
    var listing = FileListing()
    let fixed: Set = [
      "lock", "salts", "salts" + SaltStore.reserveSuffix, "tombstone.key", "token",
      "endpoint.json", KeyStore.localName, Self.backupKeyName, TombstoneFile.name,
    ]
    let folders: Set = [
      "slices", "artifacts", "checkpoints", KeyStore.folderName, Webhook.folderName,
    ]
    let journals = [journalFolders.0, journalFolders.1]
    for name in try FileSystem.list(path)
    where !fixed.contains(name) && !folders.contains(name)
      && !journals.contains("\(path)/\(name)")
    {
      listing.strays.append("\(path)/\(name)")
    }
    for folder in journals {
      listing.strays += JournalListing(names: try FileSystem.list(folder)).unknown.map {
        "\(folder)/\($0)"
      }
    }
    for name in try FileSystem.list("\(path)/\(KeyStore.folderName)")
    where KeyID(hex: name) == nil {
      listing.strays.append("\(path)/\(KeyStore.folderName)/\(name)")
    }
    let hooks = "\(path)/\(Webhook.folderName)"
    for name in FileSystem.exists(hooks) ? try FileSystem.list(hooks) : []
    where !Webhook.isCursor(name) {
      listing.strays.append("\(hooks)/\(name)")
    }
    listing.slices = try FileSystem.list("\(path)/slices").map {
      FileListing.Name(path: "\(path)/slices/\($0)", name: $0)
    }
    for folder in try FileSystem.list("\(path)/artifacts") {
      for name in try FileSystem.list("\(path)/artifacts/\(folder)") {
        let file = "\(path)/artifacts/\(folder)/\(name)"
        if let digest = Digest(hex: folder + name) {
          listing.artifacts.append((file, digest))
        } else {
          listing.strays.append(file)
        }
      }
    }
    for name in try FileSystem.list("\(path)/checkpoints") {
      if let key = CheckpointStore.key(named: name) {
        listing.checkpoints.append(("\(path)/checkpoints/\(name)", key))
      } else {
        listing.strays.append("\(path)/checkpoints/\(name)")
      }
    }
    return listing
  }

}
