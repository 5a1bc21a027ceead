import ByteCoding
import Hashing

/// One payload in a segment, bound to all before it.
///
/// ```
/// 4 magic · u32 payload length · u64 sequence · u64 epoch · u32 place in batch · payload
///   · u32 CRC-32C over all before · 32 chain = SHA-256(chain before · frame up to its CRC)
/// ```
/// The place in the batch tells which frames were written by one call: after a crash a frame may
/// be whole behind a torn one of the same batch, and none of them had been acknowledged.
package struct SegmentFrame: Equatable, Sendable {
  package static let magic: [UInt8] = [0xfe, 0x4c, 0x46, 0x32]
  package static let headerByteCount = 4 + 4 + 8 + 8 + 4
  /// Bytes of a frame besides its payload.
  package static let overheadByteCount = headerByteCount + 4 + Digest.byteCount
  package static let payloadByteLimit = 1 << 30
  /// Every sequence has a next one, so the largest number is none.
  package static let lastSequence = UInt64.max - 1

  /// Where the frame lies in its segment's bytes.
  package var range: Range<Int>
  package var sequence: UInt64
  /// Term of the coordinator that wrote it.
  package var epoch: UInt64
  /// Frames of the same batch before this one.
  package var batchPosition: UInt32

  package var payload: Range<Int> {
    range.lowerBound + Self.headerByteCount..<range.upperBound - Digest.byteCount - 4
  }

  /// Sequence of the first frame of the batch.
  package var batchStart: UInt64 { sequence - UInt64(batchPosition) }

  /// The bytes of one batch and the chain value they end with.
  package static func encode(
    batch payloads: [[UInt8]], firstSequence: UInt64, epoch: UInt64, after chain: Digest
  ) -> (bytes: [UInt8], chain: Digest) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(payloads.reduce(0) { $0 + $1.count + overheadByteCount })
    var chain = chain
    for (index, payload) in payloads.enumerated() {
      precondition(payload.count <= payloadByteLimit)
      var writer = CanonicalWriter()
      writer.writeRaw(magic)
      writer.write(UInt32(payload.count))
      writer.write(firstSequence + UInt64(index))
      writer.write(epoch)
      writer.write(UInt32(index))
      writer.writeRaw(payload)
      writer.write(CRC32C.checksum(writer.bytes))
      var hasher = SHA256()
      hasher.update(chain.bytes)
      hasher.update(writer.bytes)
      chain = hasher.finalize()
      bytes += writer.bytes
      bytes += chain.bytes
    }
    return (bytes, chain)
  }

  /// The frame at an offset if its checksum holds; its chain is not looked at.
  package static func read(_ bytes: UnsafeRawBufferPointer, at start: Int) -> SegmentFrame? {
    guard start >= 0, bytes.count - start >= overheadByteCount,
      magic.indices.allSatisfy({ bytes[start + $0] == magic[$0] })
    else { return nil }
    let length = Int(integer(bytes, at: start + 4, UInt32.self))
    guard length <= payloadByteLimit, length <= bytes.count - start - overheadByteCount else {
      return nil
    }
    let end = start + overheadByteCount + length
    let frame = SegmentFrame(
      range: start..<end, sequence: integer(bytes, at: start + 8, UInt64.self),
      epoch: integer(bytes, at: start + 16, UInt64.self),
      batchPosition: integer(bytes, at: start + 24, UInt32.self))
    let checked = UnsafeRawBufferPointer(rebasing: bytes[start..<frame.payload.upperBound])
    guard frame.sequence > UInt64(frame.batchPosition), frame.sequence <= lastSequence,
      integer(bytes, at: frame.payload.upperBound, UInt32.self) == CRC32C.checksum(checked)
    else { return nil }
    return frame
  }

  /// The chain value the frame must carry.
  package func chain(in bytes: UnsafeRawBufferPointer, after chain: Digest) -> Digest {
    var hasher = SHA256()
    hasher.update(chain.bytes)
    hasher.update(
      UnsafeRawBufferPointer(
        rebasing: bytes[range.lowerBound..<range.upperBound - Digest.byteCount]))
    return hasher.finalize()
  }

  /// The chain value the frame does carry.
  package func storedChain(in bytes: UnsafeRawBufferPointer) -> Digest {
    Digest(
      UnsafeRawBufferPointer(
        rebasing: bytes[range.upperBound - Digest.byteCount..<range.upperBound]))!
  }

  private static func integer<Value: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, _: Value.Type
  ) -> Value {
    Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }
}
