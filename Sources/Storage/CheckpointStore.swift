import ByteCoding
import CoordinatorCore
import Hashing
import SystemIO
import Unlearning

/// Stages in the middle: a file a block key, named by the key's 64 hexadecimal digits.
///
/// ```
/// "lethe-checkpoint-1\n" · u32 step, little-endian · 32 bytes SHA-256 of the rest · the rest
/// ```
///
/// The rest is what the worker sent: adapters, head and optimizer. All of it is made from records,
/// so a purge removes every file whose block nobody goes on to train. Losing one costs time only.
package final class CheckpointStore: Sendable {
  private let directory: String
  /// What the files hold, in parts, so that a file being written holds up few others.
  private let parts: [Guarded<[BlockKey: StageCheckpoint]>]

  private static let magic = Array("lethe-checkpoint-1\n".utf8)
  private static let headByteCount = magic.count + 4 + Digest.byteCount

  /// Opens the folder, and removes what a crash or a damaged disk left in it.
  package init(_ directory: String) throws(SystemCallError) {
    self.directory = directory
    parts = (0..<16).map { _ in Guarded([:]) }
    try FileSystem.createDirectory(directory)
    for name in try FileSystem.list(directory) {
      if let key = Self.key(named: name),
        let (checkpoint, _) = try? Self.decode(FileSystem.read("\(directory)/\(name)"))
      {
        part(key).withLock { $0[key] = checkpoint }
      } else {
        try FileSystem.remove("\(directory)/\(name)")
      }
    }
    try FileSystem.synchronizeDirectory(directory)
  }

  /// What is kept.
  package var all: [BlockKey: StageCheckpoint] {
    parts.reduce(into: [:]) { all, part in
      part.withLock { all.merge($0) { first, _ in first } }
    }
  }

  /// Keeps a stage's bytes in place of earlier ones of the same block.
  package func put(_ state: [UInt8], step: UInt32, for key: BlockKey) throws(SystemCallError)
    -> StageCheckpoint
  {
    let checkpoint = StageCheckpoint(step: step, digest: SHA256.hash(state))
    var writer = CanonicalWriter()
    writer.writeRaw(Self.magic)
    writer.write(step)
    writer.write(checkpoint.digest)
    writer.writeRaw(state)
    let bytes = writer.bytes
    let result = part(key).withLock { known in
      Result { () throws(SystemCallError) in
        try FileSystem.replace(path(key), with: bytes)
        known[key] = checkpoint
      }
    }
    try result.get()
    return checkpoint
  }

  /// A stage's bytes, checked to be the ones that were kept; `nil` if there are none.
  package func get(_ key: BlockKey) -> [UInt8]? {
    guard let expected = part(key).withLock({ $0[key] }),
      let bytes = try? FileSystem.read(path(key)),
      let (checkpoint, state) = try? Self.decode(bytes), checkpoint == expected
    else { return nil }
    return Array(state)
  }

  /// Removes one checkpoint durably, unless another has taken its place.
  package func discard(_ key: BlockKey, _ checkpoint: StageCheckpoint) throws(SystemCallError) {
    try remove(key) { $0 == checkpoint }
    try FileSystem.synchronizeDirectory(directory)
  }

  /// Removes whatever is kept of these blocks, durably.
  package func removeAll(_ keys: some Sequence<BlockKey>) throws(SystemCallError) {
    for key in keys { try remove(key) { _ in true } }
    try FileSystem.synchronizeDirectory(directory)
  }

  private func remove(_ key: BlockKey, where isMeant: (StageCheckpoint) -> Bool)
    throws(SystemCallError)
  {
    let result = part(key).withLock { known in
      Result { () throws(SystemCallError) in
        guard let checkpoint = known[key], isMeant(checkpoint) else { return }
        try FileSystem.remove(path(key))
        known[key] = nil
      }
    }
    try result.get()
  }

  /// The key in a file's name; `nil` where no checkpoint has this name.
  package static func key(named name: String) -> BlockKey? {
    name.count == 2 * Digest.byteCount ? Digest(hex: name).map { BlockKey($0) } : nil
  }

  private static func decode(_ bytes: [UInt8]) throws -> (StageCheckpoint, ArraySlice<UInt8>) {
    var reader = CanonicalReader(bytes)
    guard try reader.readRaw(byteCount: magic.count).elementsEqual(magic) else {
      throw DecodingFailure.invalid(what: "magic", atByte: 0)
    }
    let checkpoint = StageCheckpoint(
      step: try reader.readInteger(), digest: try reader.readDigest())
    let state = bytes[headByteCount...]
    guard SHA256.hash(state) == checkpoint.digest else {
      throw DecodingFailure.invalid(what: "digest", atByte: magic.count + 4)
    }
    return (checkpoint, state)
  }

  private func part(_ key: BlockKey) -> Guarded<[BlockKey: StageCheckpoint]> {
    parts[Int(key.digest.bytes[0]) % parts.count]
  }

  private func path(_ key: BlockKey) -> String { "\(directory)/\(key)" }
}
