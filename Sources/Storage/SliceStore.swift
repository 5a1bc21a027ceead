import CoordinatorCore
import Datasets
import Hashing
import SystemIO
import Unlearning

/// Why a slice's records cannot be read.
package enum SliceError: Error, Sendable {
  case system(SystemCallError)
  /// The file is not the JSONL that was written, or is gone.
  case damaged(SliceLocation, path: String)
}

/// The records themselves: one JSONL file a slice, the only place where the run keeps their bytes.
///
/// A file is named by its slice's digest. Rewriting after a deletion therefore makes a new file and
/// removes the old one, and what a crash leaves in between is one file too many, never one too few.
package struct SliceStore: Sendable {
  private let directory: String

  package init(_ directory: String) throws(SystemCallError) {
    self.directory = directory
    try FileSystem.createDirectory(directory)
  }

  /// Makes `records` the whole contents of a slice, durably, and removes every other version.
  package func write(_ records: [Record], to location: SliceLocation) throws(SystemCallError) {
    let digest = LineageDigest.slice(recordDigests: records.map(\.digest))
    let name = Self.name(of: location, digest)
    if !FileSystem.exists("\(directory)/\(name)") {
      try FileSystem.replace("\(directory)/\(name)", with: Self.encode(records))
    }
    for other in try FileSystem.list(directory)
    where other.hasPrefix(Self.prefix(location)) && other != name {
      try FileSystem.remove("\(directory)/\(other)")
    }
    try FileSystem.synchronizeDirectory(directory)
  }

  /// The same for a slice that has no file yet: looks for no other version.
  package func create(_ records: [Record], at location: SliceLocation) throws(SystemCallError) {
    let name = Self.name(of: location, LineageDigest.slice(recordDigests: records.map(\.digest)))
    try FileSystem.replace("\(directory)/\(name)", with: Self.encode(records))
  }

  /// A slice file's bytes: JSON lines in the order of the ids.
  package static func encode(_ records: [Record]) -> [UInt8] {
    records.sorted { $0.id < $1.id }.flatMap { jsonLine($0) }
  }

  /// The records a slice's file holds; between a deletion and its purge also the deleted ones.
  ///
  /// - Parameter digest: What the slice's digest is by now: its file most likely has that name, and
  ///   the folder of a large run is long.
  package func read(_ location: SliceLocation, digest: Digest? = nil) throws(SliceError)
    -> [Record]
  {
    do {
      guard let name = try nameOfFile(location, digest: digest) else {
        throw SliceError.damaged(location, path: "\(directory)/\(Self.prefix(location))*.jsonl")
      }
      let path = "\(directory)/\(name)"
      let bytes = try FileSystem.read(path)
      // A slice may be empty; a data set may not.
      if bytes.isEmpty { return [] }
      do {
        return try DatasetReader(labels: nil).read(bytes, .jsonLines).training
      } catch {
        throw SliceError.damaged(location, path: path)
      }
    } catch let error as SystemCallError {
      throw .system(error)
    } catch let error as SliceError {
      throw error
    } catch {
      throw .damaged(location, path: directory)
    }
  }

  private func nameOfFile(_ location: SliceLocation, digest: Digest?) throws(SystemCallError)
    -> String?
  {
    if let digest {
      let name = Self.name(of: location, digest)
      if FileSystem.exists("\(directory)/\(name)") { return name }
    }
    return try FileSystem.list(directory).first { isVersion($0, of: location) }
  }

  /// Removes every file: debris of a run that was never created.
  package func removeAll() throws(SystemCallError) {
    for name in try FileSystem.list(directory) { try FileSystem.remove("\(directory)/\(name)") }
    try FileSystem.synchronizeDirectory(directory)
  }

  /// Removes files that were still being written when a process ended.
  package func removeDebris() throws(SystemCallError) {
    for name in try FileSystem.list(directory) where name.hasSuffix(FileSystem.temporarySuffix) {
      try FileSystem.remove("\(directory)/\(name)")
    }
  }

  private func isVersion(_ name: String, of location: SliceLocation) -> Bool {
    name.hasPrefix(Self.prefix(location)) && name.hasSuffix(".jsonl")
  }

  /// The file of a slice whose records have this digest.
  package static func name(of location: SliceLocation, _ digest: Digest) -> String {
    "\(prefix(location))\(digest.hex).jsonl"
  }

  /// What the names of all versions of a slice begin with.
  package static func prefix(_ location: SliceLocation) -> String {
    "\(location.shard)-\(location.slice)-"
  }
}
