import ByteCoding
import Hashing

extension CanonicalReader {
  /// Reads the 32 bytes of a digest.
  package mutating func readDigest() throws(DecodingFailure) -> Digest {
    Digest(try readRaw(byteCount: Digest.byteCount))!
  }
}
