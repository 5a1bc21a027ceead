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
    guard request.path.hasPrefix("/") else {
      throw APIFailure(400, "the path does not begin with /", try: "give an absolute path")
    }
    // Known before the first byte is written, so that no deletion can miss it.
    note(.backup, request)
    var attempt = 0
    while true {
      do {
        return try writeBackup(request.path)
      } catch let failure as APIFailure {
        throw failure
      } catch  where attempt < 3 {
        // A purge took a file away in between; begin anew from the state of now.
        log.write(.backupAgain, nil, [.error: Log.Value(error)])
        try FileSystem.removeTree(request.path)
        attempt += 1
      }
    }
  }

  private func writeBackup(_ path: String) throws -> BackupReport {
    let (state, sequence) = loop.view { ($0.coordinator.state, $0.sequence) }
    var writer = try BackupWriter(path)
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

  /// Remembers an export, so that a deletion that masks one of its blocks removes it.
  func noteExport(_ request: CopyRequest) throws -> CopyRequest {
    guard request.path.hasPrefix("/") else {
      throw APIFailure(400, "the path does not begin with /", try: "give an absolute path")
    }
    note(.export, request)
    return request
  }

  private func note(_ kind: OutsideCopy.Kind, _ request: CopyRequest) {
    loop.post(
      .copied(
        OutsideCopy(
          kind: kind, path: request.path,
          artifacts: (request.artifacts ?? []).compactMap { Digest(hex: $0) },
          at: SystemClock.wallMilliseconds)))
    // Answered only once the entry is durable.
    loop.inspect { _ in }
  }
}
