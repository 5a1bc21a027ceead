import Hashing
import SystemIO

/// Why an artifact cannot be read.
package enum ArtifactError: Error, Sendable {
  case system(SystemCallError)
  case missing(Digest)
  /// The bytes on disk are not the ones that were stored.
  case corrupt(Digest, path: String)
}

/// Trained bytes, each file named by the SHA-256 of its contents.
///
/// Only digests become paths, so nothing a peer says can point elsewhere.
package struct ArtifactStore: Sendable {
  private let directory: String

  package init(_ directory: String) throws(SystemCallError) {
    self.directory = directory
    try FileSystem.createDirectory(directory)
  }

  /// Stores bytes durably; storing them again is no work.
  package func put(_ bytes: [UInt8]) throws(SystemCallError) -> Digest {
    let digest = SHA256.hash(bytes)
    try put(bytes, as: digest)
    return digest
  }

  /// Stores bytes whose digest is known already.
  package func put(_ bytes: [UInt8], as digest: Digest) throws(SystemCallError) {
    let path = path(of: digest)
    if FileSystem.exists(path) { return }
    try FileSystem.createDirectory(FileSystem.directory(of: path))
    try FileSystem.replace(path, with: bytes)
  }

  /// Stores many at once, all or none; far cheaper than one by one.
  ///
  /// Until it returns some may be there and not be durable, so nobody else may store meanwhile.
  package func put(together group: [(digest: Digest, bytes: [UInt8])]) throws(SystemCallError) {
    try FileSystem.createTogether(
      group.map { (path(of: $0.digest), $0.bytes) }, in: directory)
  }

  /// Reads bytes and checks that they are still the ones the name promises.
  package func get(_ digest: Digest) throws(ArtifactError) -> [UInt8] {
    let path = path(of: digest)
    let bytes: [UInt8]
    do {
      bytes = try FileSystem.read(path)
    } catch {
      throw error.isNotFound ? .missing(digest) : .system(error)
    }
    guard SHA256.hash(bytes) == digest else { throw .corrupt(digest, path: path) }
    return bytes
  }

  package func remove(_ digest: Digest) throws(SystemCallError) {
    let path = path(of: digest)
    guard FileSystem.exists(path) else { return }
    try FileSystem.remove(path)
    try FileSystem.synchronizeDirectory(FileSystem.directory(of: path))
  }

  /// Removes every file but those of the given digests: what a crash left between two steps.
  package func removeAll(except kept: Set<Digest>) throws(SystemCallError) {
    for folder in try FileSystem.list(directory) {
      for name in try FileSystem.list("\(directory)/\(folder)") {
        let digest = Digest(hex: folder + name)
        if digest.map(kept.contains) != true {
          try FileSystem.remove("\(directory)/\(folder)/\(name)")
        }
      }
      try FileSystem.synchronizeDirectory("\(directory)/\(folder)")
    }
  }

  /// A file's place below a folder called `artifacts`.
  package static func path(of digest: Digest) -> String {
    let hex = digest.hex
    return "\(hex.prefix(2))/\(hex.dropFirst(2))"
  }

  private func path(of digest: Digest) -> String { "\(directory)/\(Self.path(of: digest))" }
}
