import CoordinatorCore
import Hashing
import JournalFormat
import Unlearning

/// A coordinator's disk: what was synced survives a crash, the rest may be lost or torn.
///
/// The journal's two copies are kept byte by byte and judged by the shipped recovery code.
struct SimulatedDisk: Sendable {
  /// One copy of the journal.
  private struct Copy: Sendable {
    var bytes: [UInt8]
    /// Bytes that a crash cannot take.
    var syncedCount: Int
  }

  /// Segments are zeros before they are written; so many lie behind the last frame.
  private static let reserve = 4096

  private var copies: [Copy]
  private(set) var chain: Digest
  private(set) var sequence: UInt64 = 0
  /// Whether the last recovery took bytes from the other copy, and whether it dropped a torn tail.
  private(set) var lastRecovery = (wasRepaired: false, wasTorn: false)

  /// Slice files; until a purge they may hold more than the live records.
  var slices: [SliceLocation: [SimulatedRecord]] = [:]
  /// The record table; a purge overwrites its rows.
  var table: TableMemory!
  var artifacts: [Digest: [UInt8]] = [:]
  private var checkpoints: [CheckpointName: [UInt8]] = [:]

  private struct CheckpointName: Hashable {
    var key: BlockKey
    var step: UInt32
    var digest: Digest
  }

  init(nonce: Digest) {
    let header = SegmentHeader(beginning: nonce)
    chain = header.chain
    copies = Array(
      repeating: Copy(bytes: header.encoded, syncedCount: SegmentHeader.byteCount), count: 2)
  }

  /// Writes a batch to one copy, as yet unsynced. Copy 1 may only follow once copy 0 is synced.
  mutating func write(_ bytes: [UInt8], to copy: Int) {
    copies[copy].bytes += bytes
  }

  mutating func sync(_ copy: Int) { copies[copy].syncedCount = copies[copy].bytes.count }

  /// The bytes of a batch, which the next batch continues.
  mutating func encode(_ payloads: [[UInt8]], epoch: UInt64) -> [UInt8] {
    let batch = SegmentFrame.encode(
      batch: payloads, firstSequence: sequence + 1, epoch: epoch, after: chain)
    sequence += UInt64(payloads.count)
    chain = batch.chain
    return batch.bytes
  }

  /// Power fails: of what was not synced a part remains, with sectors missing; one copy may rot.
  mutating func crash(_ random: inout SeededGenerator) {
    for index in copies.indices {
      let unsynced = copies[index].bytes.count - copies[index].syncedCount
      guard unsynced > 0 else { continue }
      var kept = Int.random(in: 0...unsynced, using: &random)
      if Int.random(in: 0..<3, using: &random) == 0 { kept = 0 }
      copies[index].bytes.removeLast(unsynced - kept)
      if kept > 64, Bool.random(using: &random) {
        // A sector that never reached the platter.
        let start = copies[index].syncedCount + Int.random(in: 0..<kept - 32, using: &random)
        for offset in start..<min(start + 512, copies[index].bytes.count) {
          copies[index].bytes[offset] = 0
        }
      }
    }
    if Int.random(in: 0..<8, using: &random) == 0 {
      let copy = Int.random(in: 0...1, using: &random)
      let place = Int.random(in: 0..<copies[copy].syncedCount, using: &random)
      // Only where the other copy has the byte: two disks do not rot at one place.
      if place < copies[1 - copy].syncedCount {
        copies[copy].bytes[place] ^= UInt8.random(in: 1...255, using: &random)
      }
    }
  }

  /// Recovers as the shipped journal does.
  ///
  /// - Returns: the payloads of all frames.
  mutating func recover() throws(JournalDefect) -> [[UInt8]] {
    let count = copies.map(\.bytes.count).max()! + Self.reserve
    let files = copies.map { $0.bytes + repeatElement(0, count: count - $0.bytes.count) }
    let twin = TwinSegment(a: files[0], b: files[1], firstSequence: 1)
    var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
    let repair = try walk.take(twin, following: nil)
    lastRecovery = (!repair.rewrites.isEmpty, repair.drop != nil)
    let good = repair.goodBytes(of: twin)
    copies = Array(repeating: Copy(bytes: good, syncedCount: good.count), count: 2)
    sequence = walk.end?.sequence ?? 0
    chain = walk.end?.chain ?? chain
    return walk.payloads
  }

  // MARK: - Checkpoints

  mutating func store(_ bytes: [UInt8], _ checkpoint: StageCheckpoint, of key: BlockKey) {
    checkpoints[name(checkpoint, key)] = bytes
  }

  func checkpoint(_ checkpoint: StageCheckpoint, of key: BlockKey) -> [UInt8]? {
    checkpoints[name(checkpoint, key)]
  }

  mutating func removeCheckpoint(_ checkpoint: StageCheckpoint, of key: BlockKey) {
    checkpoints[name(checkpoint, key)] = nil
  }

  mutating func removeCheckpoints(where isStale: (BlockKey, StageCheckpoint) -> Bool) {
    checkpoints = checkpoints.filter {
      !isStale($0.key.key, StageCheckpoint(step: $0.key.step, digest: $0.key.digest))
    }
  }

  /// What a restart finds: the furthest of each key.
  func newestCheckpoints() -> [BlockKey: StageCheckpoint] {
    var newest: [BlockKey: StageCheckpoint] = [:]
    for name in checkpoints.keys {
      if let known = newest[name.key], (known.step, known.digest) >= (name.step, name.digest) {
        continue
      }
      newest[name.key] = StageCheckpoint(step: name.step, digest: name.digest)
    }
    return newest
  }

  /// Keys whose checkpoints are on the disk.
  var checkpointKeys: Set<BlockKey> { Set(checkpoints.keys.map(\.key)) }

  private func name(_ checkpoint: StageCheckpoint, _ key: BlockKey) -> CheckpointName {
    CheckpointName(key: key, step: checkpoint.step, digest: checkpoint.digest)
  }
}
