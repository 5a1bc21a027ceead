import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// Everything a run keeps on disk, open and held by this process alone.
///
/// ```
/// lock                 held by the one coordinator
/// journal-a/ journal-b/  what happened, twice; no ids, no texts
/// salts                opens the ledger's commitments; a line can be erased
/// tombstone.key        turns ids into the tags that state and journal know
/// token                what people's tools show to be let in
/// backup.key           says of a backup that this run wrote it; in no backup
/// tombstones           deletions of an earlier run, until the first start has taken them in
/// keys/                who may connect, a file a key; see `KeyStore`
/// local.key            the key of workers on this machine
/// webhooks/            what receivers of events have been told, a file each
/// endpoint.json        where the running coordinator listens
/// slices/              the records, a file a slice, and the table of what is known of each
/// artifacts/           trained blocks, a file each, named by SHA-256
/// checkpoints/         stages in the middle, a file a block key
/// ```
package final class RunDirectory: Sendable {
  package let path: String
  package let slices: SliceStore
  package let artifacts: ArtifactStore
  package let checkpoints: CheckpointStore
  package let keys: KeyStore
  /// Who is reading slice files.
  let readers = ReaderGate()
  /// Bearer token of the HTTP API.
  package let token: String
  /// Folders of the journal's two copies.
  package let journalFolders: (String, String)
  /// Under `tombstone.key`; has seen no message yet.
  private let tombstone: HMAC.Authenticator
  private let subjects: HMAC.Authenticator
  private let payloads: HMAC.Authenticator
  private let lock: DirectoryLock

  package convenience init(_ path: String, journal: (String, String)) throws {
    try FileSystem.createDirectory(path)
    guard let lock = try DirectoryLock("\(path)/lock") else {
      throw ServiceError(
        .unavailable, "another coordinator runs on \(path)",
        try: "stop it first, or give this run a directory of its own")
    }
    try self.init(path, journal: journal, lock: lock)
  }

  /// - Parameter lock: Held for as long as the directory is in use.
  init(_ path: String, journal: (String, String), lock: DirectoryLock) throws {
    self.path = path
    journalFolders = journal
    self.lock = lock
    slices = try SliceStore("\(path)/slices")
    artifacts = try ArtifactStore("\(path)/artifacts")
    checkpoints = try CheckpointStore("\(path)/checkpoints")
    keys = try KeyStore(path)
    tombstone = HMAC.Authenticator(key: try Self.secret("\(path)/tombstone.key"))
    subjects = Self.authenticator(tombstone, for: "lethe-subject-1")
    payloads = Self.authenticator(tombstone, for: "lethe-payload-1")
    token = try Self.secret("\(path)/token").hex
  }

  package var saltPath: String { "\(path)/salts" }

  static let backupKeyName = "backup.key"

  var backupKeyPath: String { "\(path)/\(Self.backupKeyName)" }

  /// Authenticates the manifests of this run's backups; made when it is first asked for.
  func backupKey() throws -> [UInt8] { try Self.secret(backupKeyPath) }

  /// The pseudonym under which state and journal know a record.
  package func tag(_ id: RecordID) -> RecordTag {
    RecordTag(Self.tag(id.bytes, tombstone))
  }

  /// Finds the records of one subject.
  package func subjectTag(_ subject: RecordID) -> LookupTag {
    LookupTag(Self.tag(subject.bytes, subjects))
  }

  /// Finds exact duplicates under other ids.
  package func payloadTag(_ payload: Digest) -> LookupTag {
    LookupTag(Self.tag(payload.bytes, payloads))
  }

  /// Recognises a client's idempotency key without keeping it.
  package func requestKey(_ key: String) -> Digest { keyed("lethe-request-1", Array(key.utf8)) }

  /// Puts this run's tag on a ledger head that a worker is shown, under a key that no peer has; it
  /// follows from `tombstone.key`, so a restored run recognises what it gave out before.
  func attest(_ head: LedgerHead) -> AttestedHead {
    AttestedHead(head, tag: keyed("lethe-ledger-head-1", AttestedHead.message(head)))
  }

  /// Whether a head in a hello is one that this run gave out.
  func isOwn(_ attested: AttestedHead) -> Bool {
    HMAC.areEqual(attest(attested.head).tag.bytes, attested.tag.bytes)
  }

  /// Ties the record table to this run's key: another one's tags would find nobody.
  private var tableBinding: Digest { keyed("lethe-record-table-1", []) }

  /// Begins the files of a run's records.
  func recordWriter(_ plan: RunPlan) throws -> RecordWriter {
    try RecordWriter(slices, plan, binding: tableBinding)
  }

  /// The run's records, held against its state and the bytes on disk.
  func records(_ state: RunState) throws -> RecordIndex {
    do {
      let file = try slices.table()
      let table = try RecordTable(file.bytes, owner: file)
      guard table.binding == tableBinding else { throw RecordTableProblem.otherRun }
      let index = try RecordIndex(table, state)
      try slices.check(index)
      return index
    } catch let problem as RecordTableProblem {
      throw ServiceError(problem, path: slices.tablePath)
    } catch let error as SliceError {
      throw ServiceError(error)
    }
  }

  /// Messages for one use, which cannot be taken for those of another.
  private static func authenticator(_ key: HMAC.Authenticator, for use: String)
    -> HMAC.Authenticator
  {
    var authenticator = key
    authenticator.update(Array(use.utf8) + [0])
    return authenticator
  }

  private static func tag(_ message: [UInt8], _ begun: HMAC.Authenticator) -> Digest {
    var authenticator = begun
    authenticator.update(message)
    return authenticator.finalize()
  }

  private func keyed(_ use: String, _ bytes: [UInt8]) -> Digest {
    Self.tag(bytes, Self.authenticator(tombstone, for: use))
  }

  /// What state and journal know of a record.
  package func ingested(_ record: Record) -> IngestedRecord {
    IngestedRecord(
      tag: tag(record.id), digest: record.digest, payload: payloadTag(record.payloadDigest),
      subject: record.subject.map(subjectTag))
  }

  /// A slice file's records; between a deletion and its purge also the deleted ones.
  package func readSlice(_ location: SliceLocation) throws -> [Record] {
    do {
      return try readers.reading { try slices.read(location) }
    } catch let error as SliceError {
      throw ServiceError(error)
    }
  }

  /// The records of a slice that were part of the run in a state, checked to be exactly those.
  package func liveRecords(_ location: SliceLocation, _ state: RunState) throws -> [Record] {
    let live = try readSlice(location).filter { state.deletedTags[tag($0.id)] == nil }
    let expected = state.slices[location.shard][location.slice]
    guard SliceState(live.map(\.digest)) == expected else {
      throw ServiceError(location, holds: live.count, of: expected.recordCount, path: slices.path)
    }
    return live
  }

  /// The same for the present, without a state.
  ///
  /// - Parameter presence: Asked while the files are being read, so that no purge overwrites what
  ///   was live then.
  func liveRecords(
    _ location: SliceLocation, _ table: RecordTable, presence: () -> SlicePresence
  ) throws -> [Record] {
    try readers.reading {
      let presence = presence()
      let live = Set(
        table.rows(of: location).filter(presence.contains).map { table.digest(ofRow: $0) })
      let records = try readSlice(location).filter { live.contains($0.digest) }
      guard records.count == live.count else {
        throw ServiceError(location, holds: records.count, of: live.count, path: slices.path)
      }
      return records
    }
  }

  /// Refuses a directory that others may change: whoever can put another file in place of one of
  /// these is the run's operator.
  func requirePrivacy() throws {
    guard try !FileSystem.isOpenToAll(path) else {
      throw ServiceError(
        .configuration, "every user of this machine may write to \(path)",
        try: "chmod 700 \(path); then look whether its files are still yours: lethe verify")
    }
  }

  /// Reads 32 bytes of hexadecimal, or makes them; readable by the owner only.
  static func secret(_ path: String) throws -> [UInt8] {
    if FileSystem.exists(path), try !FileSystem.isPrivate(path) {
      throw ServiceError(
        .configuration, "\(path) holds a secret, and others than its owner may read it",
        try: "chmod 600 \(path); if somebody else may have read it, remove a token, and a start "
          + "makes another")
    }
    if !FileSystem.exists(path) {
      let text = SystemRandom.bytes(count: 32).hex + "\n"
      try FileSystem.replace(path, with: Array(text.utf8))
    }
    let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
    guard let bytes = Array(hex: text.filter { !$0.isWhitespace }), bytes.count == 32 else {
      throw ServiceError(
        .failure, "\(path) does not hold 32 bytes of hexadecimal",
        try: "restore it from a backup: deletions are remembered under this key")
    }
    return bytes
  }
}
