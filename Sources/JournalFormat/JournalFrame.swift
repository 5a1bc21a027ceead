import ByteCoding
import Hashing

/// The bytes of an append-only journal file: a header and frames, each bound to all before it.
///
/// ```
/// header  "lethe-journal-1\n" · 32 random bytes
/// frame   u32 payload length · u64 sequence · payload · u32 CRC-32C · 32-byte chain
/// chain   SHA-256(previous chain · frame up to and including its CRC)
/// ```
/// Integers are little-endian; the chain before the first frame is the header's SHA-256, the first
/// sequence 1. Drawn with an example in `Protocols/journal.md`.
package enum JournalFrame {
  package static let magic = Array("lethe-journal-1\n".utf8)
  package static let headerByteCount = 16 + 32
  /// Bytes of a frame besides its payload.
  package static let overheadByteCount = 4 + 8 + 4 + 32
  package static let maximumPayloadByteCount = 1 << 30

  package static func header(nonce: Digest) -> [UInt8] { magic + nonce.bytes }

  /// The frame's bytes and the chain value they end with.
  package static func encode(_ payload: [UInt8], sequence: UInt64, after chain: Digest)
    -> (bytes: [UInt8], chain: Digest)
  {
    var writer = CanonicalWriter()
    writer.write(UInt32(payload.count))
    writer.write(sequence)
    writer.writeRaw(payload)
    writer.write(CRC32C.checksum(writer.bytes))
    let next = SHA256.hash(chain.bytes + writer.bytes)
    writer.writeRaw(next.bytes)
    return (writer.bytes, next)
  }
}

/// What stands in a journal's bytes.
package struct JournalContents: Equatable, Sendable {
  package enum Ending: Equatable, Sendable {
    case clean
    /// The last frame was never finished, so never acknowledged: it may be dropped.
    case tornTail(byteCount: Int)
  }

  package var payloads: [[UInt8]] = []
  /// Bytes up to the end of the last whole frame.
  package var validByteCount = 0
  /// The chain value after the last whole frame.
  package var chain: Digest
  package var ending = Ending.clean
}

/// Why a journal's bytes cannot be trusted.
package enum JournalDamage: Error, Equatable, Sendable {
  /// It does not begin with a journal's header.
  case notAJournal
  /// A frame is damaged although whole frames follow it: acknowledged facts may be lost.
  case damaged(atByte: Int, sequence: UInt64)
}

extension JournalContents {
  /// Reads a whole journal.
  ///
  /// A damaged frame is a torn tail only if no valid frame follows it anywhere; otherwise something
  /// was changed after it had been acknowledged, and guessing would lose it silently.
  package init(reading bytes: [UInt8]) throws(JournalDamage) {
    guard bytes.count >= JournalFrame.headerByteCount, bytes.starts(with: JournalFrame.magic) else {
      throw .notAJournal
    }
    chain = SHA256.hash(bytes[..<JournalFrame.headerByteCount])
    validByteCount = JournalFrame.headerByteCount
    while validByteCount < bytes.count {
      let sequence = UInt64(payloads.count) + 1
      guard let frame = Self.frame(in: bytes, at: validByteCount), frame.sequence == sequence,
        let next = Self.chain(of: frame, in: bytes, after: chain)
      else {
        let rest = validByteCount..<bytes.count
        let follows = rest.dropFirst().contains { start in
          guard let later = Self.frame(in: bytes, at: start) else { return false }
          return later.sequence > sequence && later.sequence - sequence <= UInt64(rest.count)
        }
        if follows { throw .damaged(atByte: validByteCount, sequence: sequence) }
        ending = .tornTail(byteCount: rest.count)
        return
      }
      payloads.append(Array(bytes[frame.payload]))
      chain = next
      validByteCount = frame.end
    }
  }

  private struct Location {
    var start: Int
    var sequence: UInt64
    var payload: Range<Int>
    var end: Int
  }

  /// A frame whose CRC holds, or nothing.
  private static func frame(in bytes: [UInt8], at start: Int) -> Location? {
    guard bytes.count - start >= JournalFrame.overheadByteCount else { return nil }
    var reader = CanonicalReader(bytes[start...])
    guard let length = try? Int(reader.readInteger(UInt32.self)),
      length <= bytes.count - start - JournalFrame.overheadByteCount,
      let sequence = try? reader.readInteger(UInt64.self), sequence > 0
    else { return nil }
    let payload = start + 12..<start + 12 + length
    reader = CanonicalReader(bytes[payload.upperBound...])
    guard let checksum = try? reader.readInteger(UInt32.self),
      checksum == CRC32C.checksum(bytes[start..<payload.upperBound])
    else { return nil }
    return Location(
      start: start, sequence: sequence, payload: payload, end: payload.upperBound + 4 + 32)
  }

  private static func chain(of frame: Location, in bytes: [UInt8], after chain: Digest) -> Digest? {
    var hasher = SHA256()
    hasher.update(chain.bytes)
    hasher.update(bytes[frame.start..<frame.end - 32])
    let expected = hasher.finalize()
    return bytes[(frame.end - 32)..<frame.end].elementsEqual(expected.bytes) ? expected : nil
  }
}
