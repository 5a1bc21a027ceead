import ByteCoding
import Hashing

/// The first bytes of a segment: which frame it begins with, and what that frame follows.
///
/// ```
/// 8 magic · u32 format version · u64 first sequence · 32 chain before · 32 run nonce · u32 CRC-32C
/// ```
/// Drawn with an example in `Protocols/journal.md`.
package struct SegmentHeader: Equatable, Sendable {
  package static let magic = Array("lethe-jl".utf8)
  package static let formatVersion: UInt32 = 2
  package static let byteCount = 8 + 4 + 8 + 32 + 32 + 4

  package var firstSequence: UInt64
  /// The chain value that the segment's first frame continues.
  package var chain: Digest
  /// Drawn once for a journal, so that copies of two journals are never taken for a pair.
  package var nonce: Digest

  package init(firstSequence: UInt64, chain: Digest, nonce: Digest) {
    self.firstSequence = firstSequence
    self.chain = chain
    self.nonce = nonce
  }

  /// The header of a journal's very first segment.
  package init(beginning nonce: Digest) {
    self.init(firstSequence: 1, chain: Self.initialChain(nonce: nonce), nonce: nonce)
  }

  /// The chain value before the frame with sequence 1.
  package static func initialChain(nonce: Digest) -> Digest {
    SHA256.hash(Array("lethe journal 2".utf8) + nonce.bytes)
  }

  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    writer.writeRaw(Self.magic)
    writer.write(Self.formatVersion)
    writer.write(firstSequence)
    writer.writeRaw(chain.bytes)
    writer.writeRaw(nonce.bytes)
    writer.write(CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// What stands where a header should.
  package enum Reading: Equatable, Sendable {
    case header(SegmentHeader)
    /// Begins like a segment, but in a format this build does not know.
    case unsupported(version: UInt32)
    case invalid
  }

  package static func read(_ bytes: [UInt8]) -> Reading {
    guard bytes.count >= byteCount, bytes.starts(with: magic) else { return .invalid }
    var reader = CanonicalReader(bytes[magic.count..<byteCount])
    guard let version = try? reader.readInteger(UInt32.self) else { return .invalid }
    guard version == formatVersion else { return .unsupported(version: version) }
    guard let firstSequence = try? reader.readInteger(UInt64.self),
      (1...SegmentFrame.lastSequence).contains(firstSequence),
      let chain = (try? reader.readRaw(byteCount: Digest.byteCount)).flatMap({ Digest($0) }),
      let nonce = (try? reader.readRaw(byteCount: Digest.byteCount)).flatMap({ Digest($0) }),
      let checksum = try? reader.readInteger(UInt32.self),
      checksum == CRC32C.checksum(bytes[..<(byteCount - 4)])
    else { return .invalid }
    return .header(SegmentHeader(firstSequence: firstSequence, chain: chain, nonce: nonce))
  }
}
