import ByteCoding
import Hashing

/// A state up to one sequence, as one file that proves itself.
///
/// ```
/// 8 magic · u32 format version · u64 sequence · 32 chain after it · u64 byte count · bytes
///   · 32 SHA-256 over all before
/// ```
package struct SnapshotFile: Equatable, Sendable {
  package static let magic = Array("lethe-sn".utf8)
  package static let headerByteCount = 8 + 4 + 8 + 32 + 8

  /// The last sequence whose effect the state holds.
  package var sequence: UInt64
  /// The chain value after that sequence's frame; the next frame continues it.
  package var chain: Digest
  package var bytes: [UInt8]
  /// What the file ends with.
  package var digest: Digest

  package static func encode(_ bytes: [UInt8], through sequence: UInt64, chain: Digest)
    -> (file: [UInt8], digest: Digest)
  {
    var writer = CanonicalWriter()
    writer.writeRaw(magic)
    writer.write(SegmentHeader.formatVersion)
    writer.write(sequence)
    writer.writeRaw(chain.bytes)
    writer.write(UInt64(bytes.count))
    writer.writeRaw(bytes)
    let digest = SHA256.hash(writer.bytes)
    writer.writeRaw(digest.bytes)
    return (writer.bytes, digest)
  }

  /// Reads a whole file; `nil` unless every byte is as written and its name tells its sequence.
  package init?(_ file: [UInt8], named name: UInt64) {
    guard file.count >= Self.headerByteCount + Digest.byteCount, file.starts(with: Self.magic)
    else { return nil }
    let end = file.count - Digest.byteCount
    var reader = CanonicalReader(file[Self.magic.count..<end])
    guard let version = try? reader.readInteger(UInt32.self),
      version == SegmentHeader.formatVersion,
      let sequence = try? reader.readInteger(UInt64.self), sequence == name,
      sequence <= SegmentFrame.lastSequence,
      let chain = (try? reader.readRaw(byteCount: Digest.byteCount)).flatMap({ Digest($0) }),
      let count = try? reader.readInteger(UInt64.self), count == UInt64(reader.remainingByteCount),
      let digest = Digest(file[end...]), digest == SHA256.hash(file[..<end])
    else { return nil }
    self.sequence = sequence
    self.chain = chain
    self.digest = digest
    bytes = Array(file[Self.headerByteCount..<end])
  }
}
