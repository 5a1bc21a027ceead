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

  package init(_ path: String) throws(SystemCallError) {
    self.path = path
    if !FileSystem.exists(path) { try FileSystem.replace(path, with: []) }
    file = try OwnedDescriptor.openForAppending(path)
  }

  /// Adds salts, durable on return. After a failure the process must end, as with the journal.
  package func append(_ salts: [DeletionSalt]) throws(SystemCallError) {
    guard !salts.isEmpty else { return }
    let text = salts.map { "\($0.deletion) \($0.salt.hex)\n" }.joined()
    try file.write(Array(text.utf8), path: path)
    try file.synchronize(path: path)
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
