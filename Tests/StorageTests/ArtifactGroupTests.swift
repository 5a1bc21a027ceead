import Hashing
import Storage
import SystemIO
import Testing

@Suite("Artifacts stored together") struct ArtifactGroupTests {
  private static func group(_ count: Int) -> [(digest: Digest, bytes: [UInt8])] {
    (0..<count).map { index in
      let bytes = [UInt8]("block \(index)".utf8)
      return (SHA256.hash(bytes), bytes)
    }
  }

  private static func inFolder(_ body: (String) throws -> Void) throws {
    let folder = "/tmp/lethe-group-\(SystemRandom.bytes(count: 8).hex)"
    defer { try? FileSystem.removeTree(folder) }
    try body(folder)
  }

  @Test("can be read back, twice the same bytes and bytes that were there among them")
  func together() throws {
    try Self.inFolder { folder in
      let store = try ArtifactStore(folder)
      let group = Self.group(40)
      try store.put(group[3].bytes, as: group[3].digest)
      try store.put(together: group + [group[7]])
      for artifact in group { #expect(try store.get(artifact.digest) == artifact.bytes) }
      let names = try FileSystem.list(folder).flatMap { try FileSystem.list("\(folder)/\($0)") }
      #expect(names.count == group.count && !names.contains { $0.hasSuffix(".partial") })
    }
  }

  @Test("all or none: where one cannot be written, nothing of the others stays")
  func allOrNone() throws {
    try Self.inFolder { folder in
      let store = try ArtifactStore(folder)
      let group = Self.group(20)
      // A file where the last one's folder has to be.
      let last = group[19].digest.hex.prefix(2)
      let before = group.dropLast().filter { $0.digest.hex.prefix(2) != last }
      try FileSystem.replace("\(folder)/\(last)", with: [1])
      #expect(throws: SystemCallError.self) { try store.put(together: before + [group[19]]) }
      #expect(try FileSystem.list(folder) == [String(last)])
    }
  }
}
