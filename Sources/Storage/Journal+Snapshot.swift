import Hashing
import JournalFormat
import SystemIO

extension Journal {
  /// Makes a state durable in both copies, and returns what its files end with.
  ///
  /// Written aside, synced, renamed, the directory synced; then read back from both, past the page
  /// cache where the kernel agrees. May run on any thread while the journal goes on.
  ///
  /// - Parameters:
  ///   - sequence: The last payload whose effect the state holds; it must have been appended.
  ///   - chain: The chain value after it.
  @discardableResult
  package static func writeSnapshot(
    _ bytes: [UInt8], through sequence: UInt64, chain: Digest, to directories: (String, String)
  ) throws(SystemCallError) -> Digest {
    let pair = JournalPair(directories)
    let name = JournalName.snapshot(sequence)
    let (file, digest) = SnapshotFile.encode(bytes, through: sequence, chain: chain)
    do throws(SystemCallError) {
      for copy in JournalCopy.allCases { try pair.writeAside(copy, name, file, zerosTo: 0) }
      for copy in JournalCopy.allCases { try pair.place(copy, name) }
    } catch {
      for copy in JournalCopy.allCases {
        try? FileSystem.remove(pair.path(copy, name + JournalName.partialSuffix))
      }
      throw error
    }
    for copy in JournalCopy.allCases {
      let path = pair.path(copy, name)
      try OwnedDescriptor.openForUpdating(path).dropCache()
      guard try pair.snapshot(copy, sequence)?.digest == digest else { throw .notAsWritten(path) }
    }
    return digest
  }

  /// Removes segments wholly at or below a snapshot's sequence, and older snapshots.
  ///
  /// Only once the snapshot verifies in both copies. Names go one by one, so an interrupted
  /// retirement leaves some; opening needs none of them, and the next retirement takes the rest.
  ///
  /// - Parameter sequence: The sequence of a snapshot that is there.
  package static func retire(before sequence: UInt64, in directories: (String, String))
    throws(JournalFailure)
  {
    let pair = JournalPair(directories)
    let copies = try system { () throws(SystemCallError) in
      (a: try pair.snapshot(.a, sequence), b: try pair.snapshot(.b, sequence))
    }
    guard let a = copies.a, let b = copies.b, a.digest == b.digest else {
      throw .uncovered(through: sequence, pathA: pair.directoryA, pathB: pair.directoryB)
    }
    try system { () throws(SystemCallError) in
      let firsts = Set(
        try pair.listing(.a).segments + pair.listing(.b).segments
      ).sorted()
      // A segment ends where the next begins; the last is never wholly covered.
      let covered = zip(firsts, firsts.dropFirst()).filter { $0.1 - 1 <= sequence }.map(\.0)
      for copy in JournalCopy.allCases {
        for first in covered {
          let path = pair.path(copy, JournalName.segment(first))
          try FileSystem.remove(path)
          try FileSystem.remove(path + JournalName.brokenSuffix)
        }
        for older in try pair.listing(copy).snapshots where older < sequence {
          try FileSystem.remove(pair.path(copy, JournalName.snapshot(older)))
        }
        try FileSystem.synchronizeDirectory(pair.directory(copy))
      }
    }
  }
}
