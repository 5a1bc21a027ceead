import CoordinatorCore
import Hashing
import Storage
import SystemIO
import Testing
import Unlearning

@Suite("Checkpoint store") struct CheckpointStoreTests {
  private let folder = "/tmp/lethe-checkpoints-\(SystemRandom.bytes(count: 8).hex)"
  private let key = BlockKey(SHA256.hash([1]))
  private let other = BlockKey(SHA256.hash([2]))

  @Test("keeps the latest of a block, over a restart, and gives it back whole")
  func keeps() throws {
    defer { try? FileSystem.removeTree(folder) }
    let store = try CheckpointStore(folder)
    #expect(store.get(key) == nil)
    _ = try store.put([1, 2, 3], step: 4, for: key)
    let latest = try store.put([5, 6], step: 7, for: key)
    #expect(latest == StageCheckpoint(step: 7, digest: SHA256.hash([5, 6])))
    let reopened = try CheckpointStore(folder)
    #expect(reopened.all == [key: latest] && reopened.get(key) == [5, 6])
    #expect(try FileSystem.list(folder) == [key.description])
  }

  @Test("discards what is meant and nothing that has taken its place")
  func discards() throws {
    defer { try? FileSystem.removeTree(folder) }
    let store = try CheckpointStore(folder)
    let first = try store.put([1], step: 1, for: key)
    let second = try store.put([2], step: 2, for: key)
    try store.discard(key, first)
    #expect(store.get(key) == [2])
    try store.discard(key, second)
    #expect(store.get(key) == nil)
    _ = try store.put([3], step: 3, for: key)
    _ = try store.put([4], step: 3, for: other)
    try store.removeAll([key])
    #expect(try FileSystem.list(folder) == [other.description])
  }

  @Test("a damaged file is none, whichever byte; debris goes when the store is opened")
  func damaged() throws {
    defer { try? FileSystem.removeTree(folder) }
    let store = try CheckpointStore(folder)
    _ = try store.put([1, 2, 3, 4], step: 9, for: key)
    let path = "\(folder)/\(key)"
    let whole = try FileSystem.read(path)
    for index in whole.indices {
      var bytes = whole
      bytes[index] ^= 1
      try FileSystem.replace(path, with: bytes)
      #expect(store.get(key) == nil, "byte \(index)")
      try FileSystem.replace(path, with: Array(whole[..<index]))
      #expect(store.get(key) == nil, "\(index) bytes")
    }
    try FileSystem.replace("\(folder)/\(other).partial", with: [])
    #expect(try CheckpointStore(folder).all.isEmpty)
    #expect(try FileSystem.list(folder).isEmpty)
  }
}
