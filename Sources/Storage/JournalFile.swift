import ByteCoding
import CoordinatorCore
import Hashing
import JournalFormat
import SystemIO

/// Why a journal cannot be opened.
package enum JournalError: Error, Sendable {
  case system(SystemCallError)
  case damage(JournalDamage, path: String)
  /// A whole, checked frame that this build cannot read: written by another version.
  case unreadable(sequence: UInt64, path: String)
}

/// The append-only file behind a run's state.
///
/// `append` returns only when the entries are on stable storage. After its first failure the file
/// must not be used again: the kernel may have dropped the pages that could not be written, and a
/// second attempt would report success for bytes that are gone. The process ends instead.
package final class JournalFile {
  private let file: OwnedDescriptor
  private let path: String
  private var chain: Digest
  /// Sequence of the last entry.
  package private(set) var sequence: UInt64

  /// What opening found.
  package struct Opened {
    package let journal: JournalFile
    package let entries: [JournalEntry]
    /// Bytes of an unfinished, never acknowledged frame that were dropped.
    package let droppedByteCount: Int
  }

  private init(file: OwnedDescriptor, path: String, chain: Digest, sequence: UInt64) {
    self.file = file
    self.path = path
    self.chain = chain
    self.sequence = sequence
  }

  /// Reads a journal to its end, or begins one, and stays ready to append.
  package static func open(_ path: String) throws(JournalError) -> Opened {
    try system { () throws(SystemCallError) in
      guard !FileSystem.exists(path) else { return }
      let nonce = Digest(SystemRandom.bytes(count: Digest.byteCount))!
      try FileSystem.replace(path, with: JournalFrame.header(nonce: nonce))
    }
    let bytes = try system { () throws(SystemCallError) in try FileSystem.read(path) }
    let (contents, entries) = try decode(bytes, path: path)
    let file = try system { () throws(SystemCallError) in
      let file = try OwnedDescriptor.openForAppending(path)
      if case .tornTail(let byteCount) = contents.ending {
        // Kept aside: nobody was promised these bytes, yet they may help to understand a crash.
        try FileSystem.replace(path + ".broken", with: Array(bytes.suffix(byteCount)))
        try file.truncate(to: contents.validByteCount, path: path)
        try file.synchronize(path: path)
      }
      return file
    }
    return Opened(
      journal: JournalFile(
        file: file, path: path, chain: contents.chain, sequence: UInt64(entries.count)),
      entries: entries, droppedByteCount: bytes.count - contents.validByteCount)
  }

  /// The entries of a journal that another process may be appending to.
  package static func entries(_ path: String) throws(JournalError) -> [JournalEntry] {
    let bytes = try system { () throws(SystemCallError) in try FileSystem.read(path) }
    return try decode(bytes, path: path).entries
  }

  private static func decode(_ bytes: [UInt8], path: String) throws(JournalError)
    -> (contents: JournalContents, entries: [JournalEntry])
  {
    let contents: JournalContents
    do {
      contents = try JournalContents(reading: bytes)
    } catch {
      throw .damage(error, path: path)
    }
    var entries: [JournalEntry] = []
    for (index, payload) in contents.payloads.enumerated() {
      do {
        entries.append(try JournalEntry(encoded: payload))
      } catch {
        throw .unreadable(sequence: UInt64(index) + 1, path: path)
      }
    }
    return (contents, entries)
  }

  private static func system<Value>(_ body: () throws(SystemCallError) -> Value)
    throws(JournalError) -> Value
  {
    do {
      return try body()
    } catch {
      throw .system(error)
    }
  }

  /// Adds entries with one sync for all of them.
  package func append(_ entries: [JournalEntry]) throws(SystemCallError) {
    guard !entries.isEmpty else { return }
    var bytes: [UInt8] = []
    for entry in entries {
      sequence += 1
      let frame = JournalFrame.encode(entry.encoded, sequence: sequence, after: chain)
      bytes += frame.bytes
      chain = frame.chain
    }
    try file.write(bytes, path: path)
    try file.synchronize(path: path)
  }
}
