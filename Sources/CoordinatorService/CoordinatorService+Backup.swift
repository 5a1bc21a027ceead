import CoordinatorAPI
import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning
import WireFormat

extension CoordinatorService {
  /// Writes everything a restore needs into a new folder, without any record deleted by now.
  func backUp(_ request: CopyRequest) throws -> BackupReport {
    let path = try checkedPath(request, .backup)
    guard request.artifacts == nil else {
      throw APIFailure(400, "a backup takes no artifacts: it holds everything")
    }
    let (parent, folder) = try newBackupFolder(path)
    do {
      // Known before the first byte is written, so that no deletion can miss it.
      try note(
        OutsideCopy(
          kind: .backup, path: path.text, artifacts: [], at: SystemClock.wallMilliseconds))
      return try fill(folder, path)
    } catch {
      // Nothing but what was written here is in it.
      try? folder.removeContents()
      if (try? parent.removeFolderIfEmpty(path.lastName)) == true {
        loop.post(.copyRemoved(path: path.text))
      }
      guard let error = error as? SystemCallError else { throw error }
      throw OutsideFolders.Refusal.system(error).failure("backup")
    }
  }

  private func newBackupFolder(_ path: AbsolutePath) throws -> (parent: Folder, folder: Folder) {
    do throws(OutsideFolders.Refusal) {
      let parent = try outside.parent(of: path, .backup, making: true)
      do throws(SystemCallError) {
        return (parent, try parent.newFolder(path.lastName))
      } catch {
        throw .system(error)
      }
    } catch {
      if case .system(let error) = error, error.isThere {
        throw APIFailure(
          409, "\(path.text) is there already", try: "choose a new folder for every backup")
      }
      throw error.failure("backup")
    }
  }

  private func fill(_ folder: Folder, _ path: AbsolutePath) throws -> BackupReport {
    var attempt = 0
    while true {
      do {
        return try writeBackup(folder, path.text)
      } catch  where attempt < 3 && (error as? SystemCallError)?.isDiskFull != true {
        // A purge took a file away in between; begin anew from the state of now.
        log.write(.backupAgain, nil, [.error: Log.Value(error)])
        try folder.removeContents()
        attempt += 1
      }
    }
  }

  private func writeBackup(_ folder: Folder, _ path: String) throws -> BackupReport {
    let (state, sequence) = loop.view { ($0.coordinator.state, $0.sequence) }
    var writer = BackupWriter(folder)
    for location in state.locations {
      let records = try directory.liveRecords(location, state)
      try writer.write(
        SliceStore.encode(records), to: "slices/\(SliceStore.name(of: location))")
    }
    for digest in state.artifactUses.keys.sorted() {
      try writer.write(
        try directory.artifacts.get(digest), to: "artifacts/\(ArtifactStore.path(of: digest))")
    }
    try writer.write(state.encoded, to: "state")
    // Keys are in backups as the tombstone key is, and keep workers welcome after a restore.
    let keys = try directory.keys.ids().sorted().map { "\(KeyStore.folderName)/\($0.hex)" }
    let local = FileSystem.exists(directory.keys.localPath) ? [KeyStore.localName] : []
    for name in ["tombstone.key", "salts"] + local + keys {
      try writer.write(try FileSystem.read("\(directory.path)/\(name)"), to: name)
    }
    let head = state.ledger.head
    try writer.finish(
      BackupManifest(
        run: state.run.name, journalSequence: sequence,
        ledgerSize: head.size, ledgerRoot: head.root.hex, files: writer.files
      ).authenticated(try directory.backupKey()))
    return BackupReport(
      path: path, journalSequence: sequence, ledgerSize: head.size, records: state.recordCount,
      files: writer.files.count, bytes: writer.files.reduce(0) { $0 + $1.bytes },
      keyFile: directory.backupKeyPath)
  }
}
