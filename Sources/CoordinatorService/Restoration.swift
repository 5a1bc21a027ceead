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
/// checkpoint that neither extends stops the restore unless the caller accepts the loss.
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
    /// `nil`: nobody can know.
    package var ledgerEntriesLost: UInt64?
    /// Whether the backup is proved to be this run's own.
    package var isAuthentic: Bool
    /// Keys of the backup that were left out, as nobody vouches for them.
    package var keysLeftOut: Int
  }

  /// What a restore may go on without.
  package struct Terms: Sendable {
    /// Heads that somebody has seen of this run's ledger.
    package var checkpoints: [Checkpoint]
    /// How many ledger entries the operator agrees to lose.
    package var acceptedLoss: UInt64
    /// A copy of the run's `backup.key`; by default that of the run's directory.
    package var backupKeyPath: String?
    /// Go on where it cannot be known who wrote the backup, or what was deleted after it.
    package var acceptsUnknown: Bool

    package init(
      checkpoints: [Checkpoint] = [], acceptedLoss: UInt64 = 0, backupKeyPath: String? = nil,
      acceptsUnknown: Bool = false
    ) {
      self.checkpoints = checkpoints
      self.acceptedLoss = acceptedLoss
      self.backupKeyPath = backupKeyPath
      self.acceptsUnknown = acceptsUnknown
    }
  }

  private let directory: String
  private let journalFolders: (String, String)

  package init(_ file: RunFile, base: String) throws {
    directory = resolve(file.coordinator.directory, base: base)
    journalFolders = try file.journalFolders(directory: directory)
  }

  package func restore(from backup: String, _ terms: Terms) throws -> Report {
    let manifest = try BackupManifest.read(backup)
    let backedUp = try RunState(encoded: try manifest.read("state", in: backup))
    let isAuthentic = try isAuthentic(manifest, backup, terms)
    let surviving = try survivingState(of: backedUp)
    // Before anything is written.
    if surviving == nil { try requireKnowledge(isAuthentic, backup, terms) }
    try FileSystem.createDirectory(directory)
    guard let lock = try DirectoryLock("\(directory)/lock") else {
      throw ServiceError(
        .unavailable, "a coordinator runs on \(directory)", try: "stop it before restoring")
    }
    try requireSameKey(backup, manifest)
    if let path = terms.backupKeyPath, isAuthentic {
      let kept = "\(directory)/\(RunDirectory.backupKeyName)"
      if !FileSystem.exists(kept) {
        try FileSystem.replace(kept, with: try FileSystem.read(path))
      }
    }
    var state = surviving ?? backedUp
    let lost = try lostEntries(state, terms.checkpoints, terms.acceptedLoss)
    let keysLeftOut = try restoreKeys(from: backup, manifest, isAuthentic: isAuthentic)
    let run = try RunDirectory(directory, journal: journalFolders, lock: lock)
    let leftOut = try restoreFiles(from: backup, manifest, state, to: run)
    if surviving == nil {
      try FileSystem.replace(
        "\(directory)/salts", with: try manifest.read("salts", in: backup))
      if lost > 0 {
        state.apply(.restored(lostEntries: lost, at: SystemClock.wallMilliseconds))
      }
      // The restored run is a later one than any that issued leases: epochs must not come again.
      state.apply(
        .started(term: state.term + Self.termDistance, at: SystemClock.wallMilliseconds))
      try begin(journalWith: state)
    }
    if surviving != nil { try restoreSalts(from: backup, manifest, state) }
    let missing = state.artifactUses.keys.count {
      !FileSystem.exists("\(directory)/artifacts/\(ArtifactStore.path(of: $0))")
    }
    return Report(
      directory: directory, source: surviving == nil ? "backup" : "journal",
      records: state.recordCount, recordsLeftOut: leftOut, blocks: state.blocks.count,
      blocksToRetrain: missing, ledgerSize: state.ledger.head.size,
      ledgerEntriesLost: surviving == nil && terms.checkpoints.isEmpty ? nil : lost,
      isAuthentic: isAuthentic, keysLeftOut: keysLeftOut)
  }

  /// Whether the run's own key is on the manifest.
  ///
  /// - Throws: Where a key is known and the manifest is not under it.
  private func isAuthentic(
    _ manifest: BackupManifest, _ backup: String, _ terms: Terms
  ) throws -> Bool {
    let path = terms.backupKeyPath ?? "\(directory)/\(RunDirectory.backupKeyName)"
    guard FileSystem.exists(path) else {
      guard terms.backupKeyPath == nil else {
        throw ServiceError(
          .missingInput, "there is no file \(path)", try: "name a copy of the run's backup.key")
      }
      return false
    }
    guard manifest.mac != nil else { return false }
    guard manifest.isAuthentic(try RunDirectory.secret(path)) else {
      throw ServiceError(
        .badData,
        "the manifest of \(backup) is not what this run wrote: it was changed since, or is "
          + "another run's", try: "use another backup")
    }
    return true
  }

  /// Refuses to build a run on what nobody can know, unless the caller says that it accepts that.
  private func requireKnowledge(_ isAuthentic: Bool, _ backup: String, _ terms: Terms) throws {
    guard !terms.acceptsUnknown else { return }
    guard isAuthentic else {
      throw ServiceError(
        .configuration,
        "nobody can know who wrote \(backup): its manifest is not proved by the run's backup.key",
        try:
          "give a copy of that key with --backup-key; or go on with --accept-unknown, which brings "
          + "no keys of the backup back")
    }
    guard !terms.checkpoints.isEmpty else {
      throw ServiceError(
        .configuration,
        "what was deleted after this backup is unknown: no journal survived, and no checkpoint of "
          + "the ledger was given; records deleted since would be trained on again",
        try: "give the newest checkpoint that anybody kept with --checkpoint; or go on with "
          + "--accept-unknown, and delete again what people asked for since")
    }
  }

  /// Adds the backup's salts that the run lacks, but for those that were erased since.
  private func restoreSalts(
    from backup: String, _ manifest: BackupManifest, _ state: RunState
  ) throws {
    let path = "\(directory)/salts"
    _ = try manifest.read("salts", in: backup)
    let own = FileSystem.exists(path) ? try SaltStore.read(path) : [:]
    let saved = try SaltStore.read("\(backup)/salts").filter { number, salt in
      own[number] == nil
        && state.salts.standing(ofDeletion: number, in: [number: salt]) == .present(salt)
    }
    guard !saved.isEmpty else { return }
    let store = try SaltStore(path)
    try store.append(
      saved.sorted { $0.key < $1.key }.map { DeletionSalt(deletion: $0.key, salt: $0.value) })
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

  private func requireSameKey(_ backup: String, _ manifest: BackupManifest) throws {
    let kept = "\(directory)/tombstone.key"
    let key = try manifest.read("tombstone.key", in: backup)
    if !FileSystem.exists(kept) { return try FileSystem.replace(kept, with: key) }
    guard try FileSystem.read(kept) == key else {
      throw ServiceError(
        .configuration, "\(directory) and the backup belong to two different runs",
        try: "restore into the run's own directory, or into an empty one")
    }
  }

  /// Brings back who may connect, unless the run still knows: a key revoked since stays revoked.
  ///
  /// - Returns: How many were left out, because anybody may have put them into the backup.
  private func restoreKeys(
    from backup: String, _ manifest: BackupManifest, isAuthentic: Bool
  ) throws -> Int {
    let folder = "\(directory)/\(KeyStore.folderName)"
    guard !FileSystem.exists(folder) else { return 0 }
    try FileSystem.createDirectory(folder)
    let files = manifest.files.map(\.path).filter {
      $0 == KeyStore.localName || $0.hasPrefix(KeyStore.folderName + "/")
    }
    guard isAuthentic else { return files.count { $0 != KeyStore.localName } }
    for path in files {
      try FileSystem.replace(
        "\(directory)/\(path)", with: try manifest.read(path, in: backup))
    }
    return 0
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
      let bytes = try manifest.read(file.path, in: backup)
      if state.artifactUses[SHA256.hash(bytes)] != nil { _ = try run.artifacts.put(bytes) }
    }
    return leftOut
  }
}
