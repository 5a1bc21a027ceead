import CoordinatorCore
import Hashing
import SystemIO

/// Salts of deletions' commitments, in a file of their own so that one can be erased.
///
/// A line is a deletion's number and 64 hexadecimal digits; of two lines with one number the later
/// counts, as the first one's deletion never became durable. Without its salt a commitment says
/// nothing about an id any more, not even to someone who guesses it.
package final class SaltStore {
  private let path: String
  private let file: OwnedDescriptor
  private var byteCount: Int

  /// Ends the name of the file that keeps space for salts on a disk that is otherwise full.
  package static let reserveSuffix = ".reserve"
  private static let reserveByteCount = 256 << 10

  package init(_ path: String) throws(SystemCallError) {
    self.path = path
    if !FileSystem.exists(path) { try FileSystem.replace(path, with: []) }
    file = try OwnedDescriptor.openForAppending(path)
    let bytes = try FileSystem.read(path)
    byteCount = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    // A crash cut a line short; its deletion never became durable.
    if byteCount < bytes.count { try file.truncate(to: byteCount, path: path) }
    try keepReserve()
  }

  /// Adds salts, durable on return. After a failure the process must end, as with the journal.
  package func append(_ salts: [DeletionSalt]) throws(SystemCallError) {
    guard !salts.isEmpty else { return }
    let text = Array(salts.map { "\($0.deletion) \($0.salt.hex)\n" }.joined().utf8)
    do throws(SystemCallError) {
      try file.write(text, path: path)
    } catch {
      guard error.isDiskFull, FileSystem.exists(path + Self.reserveSuffix) else { throw error }
      // A deletion is accepted even on a full disk: what was kept aside for it is given up now.
      try file.truncate(to: byteCount, path: path)
      try FileSystem.remove(path + Self.reserveSuffix)
      try file.write(text, path: path)
    }
    byteCount += text.count
    try file.synchronize(path: path)
  }

  /// Keeps space aside; a disk without room for it is no reason not to start.
  private func keepReserve() throws(SystemCallError) {
    let reserve = path + Self.reserveSuffix
    guard !FileSystem.exists(reserve) else { return }
    do throws(SystemCallError) {
      try FileSystem.replace(
        reserve, with: [UInt8](repeating: 0, count: Self.reserveByteCount))
    } catch {
      guard error.isDiskFull else { throw error }
    }
  }

  /// The salts in a file; lines that a crash cut short are not there.
  package static func read(_ path: String) throws(SystemCallError) -> [UInt64: Digest] {
    let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
    var salts: [UInt64: Digest] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, let number = UInt64(words[0]), let salt = Digest(hex: words[1]) {
        salts[number] = salt
      }
    }
    return salts
  }

  /// Rewrites the file without one salt and opens it anew; the old bytes are unlinked.
  package static func erase(_ number: UInt64, in path: String) throws(SystemCallError) -> SaltStore
  {
    let kept = try read(path).filter { $0.key != number }.sorted { $0.key < $1.key }
    let text = kept.map { "\($0.key) \($0.value.hex)\n" }.joined()
    try FileSystem.replace(path, with: Array(text.utf8))
    return try SaltStore(path)
  }
}
