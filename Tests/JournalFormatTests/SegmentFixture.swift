import Hashing
import JournalFormat

/// A segment's bytes as they are written, with the position before each frame.
struct SegmentFixture {
  var bytes: [UInt8]
  /// Where each frame begins, and behind the last one where the next would.
  var positions: [TwinSegment.Position]
  let payloads: [[UInt8]]

  /// - Parameter batches: Payloads by the call that wrote them.
  init(batches: [[[UInt8]]], spareByteCount: Int = 4096, nonce: UInt8 = 1) {
    let header = SegmentHeader(beginning: SHA256.hash([nonce]))
    bytes = header.encoded
    payloads = batches.flatMap(\.self)
    var sequence: UInt64 = 1
    var chain = header.chain
    positions = []
    for batch in batches {
      var offset = bytes.count
      let encoded = SegmentFrame.encode(
        batch: batch, firstSequence: sequence, epoch: 3, after: chain)
      bytes += encoded.bytes
      for payload in batch {
        positions.append(
          TwinSegment.Position(byteOffset: offset, sequence: sequence, chain: chain))
        let end = offset + payload.count + SegmentFrame.overheadByteCount
        chain = Digest(bytes[end - 32..<end])!
        offset = end
        sequence += 1
      }
    }
    positions.append(
      TwinSegment.Position(byteOffset: bytes.count, sequence: sequence, chain: chain))
    bytes += [UInt8](repeating: 0, count: spareByteCount)
  }

  var twin: TwinSegment { TwinSegment(a: bytes, b: bytes, firstSequence: 1) }

  /// A pair in which either copy stands for the other's state before the last batch.
  func cleared(from position: TwinSegment.Position) -> [UInt8] {
    bytes[..<position.byteOffset] + [UInt8](repeating: 0, count: bytes.count - position.byteOffset)
  }
}

/// Recovers a pair of one segment.
func recover(_ a: [UInt8]?, _ b: [UInt8]?) throws(JournalDefect)
  -> (walk: JournalWalk, repair: SegmentRepair)
{
  var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
  let repair = try walk.take(TwinSegment(a: a, b: b, firstSequence: 1), following: nil)
  return (walk, repair)
}

func sample(_ count: Int, byteCount: Int, seed: UInt64 = 1) -> [[UInt8]] {
  var random = SeededGenerator(seed: seed)
  return (0..<count).map { _ in
    (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }
}
