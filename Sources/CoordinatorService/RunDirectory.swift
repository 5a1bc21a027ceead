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
/// journal              what happened; no ids, no texts
/// tombstone.key        turns ids into the tags that state and journal know
/// token                what people's tools show to be let in
/// endpoint.json        where the running coordinator listens
/// slices/              the records, a file a slice
/// artifacts/           trained blocks, a file each, named by SHA-256
/// ```
package final class RunDirectory: Sendable {
  package let path: String
  package let slices: SliceStore
  package let artifacts: ArtifactStore
  /// Bearer token of the HTTP API.
  package let token: String
  private let tombstoneKey: [UInt8]
  private let lock: DirectoryLock

  package init(_ path: String) throws {
    self.path = path
    try FileSystem.createDirectory(path)
    guard let lock = try DirectoryLock("\(path)/lock") else {
      throw ServiceError(
        .unavailable, "another coordinator runs on \(path)",
        try: "stop it first, or give this run a directory of its own")
    }
    self.lock = lock
    slices = try SliceStore("\(path)/slices")
    artifacts = try ArtifactStore("\(path)/artifacts")
    tombstoneKey = try Self.secret("\(path)/tombstone.key")
    token = try Self.secret("\(path)/token").hex
  }

  package var journalPath: String { "\(path)/journal" }

  /// The pseudonym under which state and journal know a record.
  package func tag(_ id: RecordID) -> RecordTag {
    RecordTag(HMAC.authenticate(key: tombstoneKey, id.bytes))
  }

  /// The records of a slice that are part of the run, checked to be exactly those.
  package func liveRecords(_ location: SliceLocation, _ state: SliceState) throws -> [Record] {
    let live = try slices.read(location).filter { state.digests[tag($0.id)] == $0.digest }
    guard live.count == state.digests.count else {
      throw ServiceError(
        .failure,
        "slice \(location.slice) of shard \(location.shard) holds \(live.count) of the "
          + "\(state.digests.count) records it should (\(path)/slices)",
        try: "restore the data directory from a backup; nothing was changed")
    }
    return live
  }

  /// Reads 32 bytes of hexadecimal, or makes them; readable by the owner only.
  private static func secret(_ path: String) throws -> [UInt8] {
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
