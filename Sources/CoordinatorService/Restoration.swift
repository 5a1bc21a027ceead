import CoordinatorCore
import Hashing
import Ledger
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// Brings a run back from a backup, without bringing a deleted record back.
///
/// What is known beyond the backup decides: a journal that survived beside the run, and checkpoints
/// that an operator kept. A surviving journal is the newer truth, so it stays and the backup only
/// supplies bytes; records that it knows as deleted are left out while the slices are written. A
/// checkpoint that neither extends stops the restore unless the loss is accepted in so many words.
package struct Restoration: Sendable {
  package struct Report: Codable, Sendable {
    package var directory: String
    /// `journal` where one survived, else `backup`.
    package var source: String
    package var records: Int
    package var recordsLeftOut: Int
    package var blocks: Int
    package var blocksToRetrain: Int
    package var ledgerSize: UInt64
    package var ledgerEntriesLost: UInt64
  }

  private let directory: String
  private let journalFolders: (String, String)

  package init(_ file: RunFile, base: String) throws {
    directory = resolve(file.coordinator.directory, base: base)
    journalFolders = try file.journalFolders(directory: directory)
  }

  /// - Parameters:
  ///   - checkpoints: Heads that somebody has seen of this run's ledger.
  ///   - acceptedLoss: How many ledger entries the operator agrees to lose.
  package func restore(
    from backup: String, checkpoints: [Checkpoint], acceptedLoss: UInt64
  ) throws -> Report {
    let manifest = try BackupManifest.read(backup)
    let backedUp = try RunState(encoded: try FileSystem.read("\(backup)/state"))
    try FileSystem.createDirectory(directory)
    guard let lock = try DirectoryLock("\(directory)/lock") else {
      throw ServiceError(
        .unavailable, "a coordinator runs on \(directory)", try: "stop it before restoring")
    }
    try requireSameKey(backup)
    try restoreKeys(from: backup, manifest)
    let run = try RunDirectory(directory, journal: journalFolders, lock: lock)
    let surviving = try survivingState(of: backedUp)
    var state = surviving ?? backedUp
    let lost = try lostEntries(state, checkpoints, acceptedLoss)
    let leftOut = try restoreFiles(from: backup, manifest, state, to: run)
    if surviving == nil {
      try FileSystem.replace(
        "\(directory)/salts", with: try FileSystem.read("\(backup)/salts"))
      if lost > 0 {
        state.apply(.restored(lostEntries: lost, at: SystemClock.wallMilliseconds))
      }
      // The restored run is a later one than any that issued leases: epochs must not come again.
      state.apply(
        .started(term: state.term + Self.termDistance, at: SystemClock.wallMilliseconds))
      try begin(journalWith: state)
    }
    let missing = state.artifactUses.keys.count {
      !FileSystem.exists("\(directory)/artifacts/\(ArtifactStore.path(of: $0))")
    }
    return Report(
      directory: directory, source: surviving == nil ? "backup" : "journal",
      records: state.recordCount, recordsLeftOut: leftOut, blocks: state.blocks.count,
      blocksToRetrain: missing, ledgerSize: state.ledger.head.size, ledgerEntriesLost: lost)
  }

  /// More terms than a lost coordinator can have started since the backup.
  private static let termDistance: UInt32 = 1 << 16

  /// A fresh journal whose snapshot is the restored state.
  private func begin(journalWith state: RunState) throws {
    let journal = try Journal.open(journalFolders).journal
    try journal.append([JournalEntry.created(state.run).encoded], epoch: UInt64(state.term))
    try journal.rotate()
    try Journal.writeSnapshot(
      state.encoded, through: journal.sequence, chain: journal.chain, to: journalFolders)
    try Journal.retire(before: journal.sequence, in: journalFolders)
  }

  private func requireSameKey(_ backup: String) throws {
    let kept = "\(directory)/tombstone.key"
    let key = try FileSystem.read("\(backup)/tombstone.key")
    if !FileSystem.exists(kept) { return try FileSystem.replace(kept, with: key) }
    guard try FileSystem.read(kept) == key else {
      throw ServiceError(
        .configuration, "\(directory) and the backup belong to two different runs",
        try: "restore into the run's own directory, or into an empty one")
    }
  }

  /// Brings back who may connect, unless the run still knows: a key revoked since stays revoked.
  private func restoreKeys(from backup: String, _ manifest: BackupManifest) throws {
    let folder = "\(directory)/\(KeyStore.folderName)"
    guard !FileSystem.exists(folder) else { return }
    try FileSystem.createDirectory(folder)
    for file in manifest.files
    where file.path == KeyStore.localName || file.path.hasPrefix(KeyStore.folderName + "/") {
      try FileSystem.replace(
        "\(directory)/\(file.path)", with: try FileSystem.read("\(backup)/\(file.path)"))
    }
  }

  /// The state of a journal that outlived the rest; `nil` where there is none.
  private func survivingState(of backedUp: RunState) throws -> RunState? {
    let folders = [journalFolders.0, journalFolders.1]
    let isThere = try folders.contains { folder in
      try FileSystem.exists(folder) && !FileSystem.list(folder).isEmpty
    }
    guard isThere else { return nil }
    let contents: Journal.View
    do {
      contents = try Journal.read(journalFolders)
    } catch {
      let failure = ServiceError(journal: error)
      throw ServiceError(
        failure.kind, "a journal survived, but cannot be read: \(failure.message)",
        try: "lethe journal salvage makes a readable pair of it; put that in its place")
    }
    let state = try RunState(replaying: contents.snapshot?.bytes, contents.payloads)
    guard state.ledger.extends(backedUp.ledger.head) else {
      throw ServiceError(
        .configuration, "the surviving journal is not a later one of the backup's run",
        try: "restore into the run's own directory, or into an empty one")
    }
    return state
  }

  /// How many ledger entries somebody has seen beyond what this state knows.
  private func lostEntries(
    _ state: RunState, _ checkpoints: [Checkpoint], _ acceptedLoss: UInt64
  ) throws -> UInt64 {
    let known = state.ledger.head
    var lost: UInt64 = 0
    for checkpoint in checkpoints {
      if state.ledger.extends(LedgerHead(size: checkpoint.size, root: checkpoint.root)) { continue }
      guard checkpoint.size > known.size else {
        throw ServiceError(
          .configuration,
          "the checkpoint of \(checkpoint.size) entries is not one of this run's ledger",
          try: "give checkpoints of this run only")
      }
      lost = max(lost, checkpoint.size - known.size)
    }
    guard lost <= acceptedLoss else {
      throw ServiceError(
        .failure,
        "a checkpoint shows \(lost) ledger entries that neither the backup nor a journal has: up "
          + "to \(lost) acknowledged deletions would be undone, and their records trained on again",
        try: "find a later backup or a surviving journal copy; or delete those records again after "
          + "restoring with --accept-loss \(lost)")
    }
    return lost
  }

  /// Writes slices and artifacts that the state wants; returns how many records were left out.
  private func restoreFiles(
    from backup: String, _ manifest: BackupManifest, _ state: RunState,
    to run: RunDirectory
  ) throws -> Int {
    let saved = try SliceStore("\(backup)/slices")
    var leftOut = 0
    var writer = try run.recordWriter(state.plan)
    for location in state.locations {
      let records: [Record]
      do throws(SliceError) {
        records = try saved.read(location)
      } catch {
        throw ServiceError(error)
      }
      let live = records.filter { state.deletedTags[run.tag($0.id)] == nil }
      leftOut += records.count - live.count
      let expected = state.slices[location.shard][location.slice]
      guard try writer.write(live, describe: run.ingested).contents == expected else {
        throw ServiceError(
          .badData,
          "slice \(location.slice) of shard \(location.shard) in the backup has not the "
            + "\(expected.recordCount) records that the run should have",
          try: "use another backup of this run")
      }
    }
    try writer.finish()
    for file in manifest.files where file.path.hasPrefix("artifacts/") {
      let bytes = try FileSystem.read("\(backup)/\(file.path)")
      if state.artifactUses[SHA256.hash(bytes)] != nil { _ = try run.artifacts.put(bytes) }
    }
    return leftOut
  }
}
