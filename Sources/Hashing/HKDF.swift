/// HKDF-SHA-256 (RFC 5869): keys derived from one secret.
package enum HKDF {
  package enum Failure: Error, Equatable {
    /// Asked for fewer than none or more than `byteCountLimit` bytes.
    case byteCount(Int)
  }

  /// The derivation counts its blocks in one byte, from one on.
  package static let byteCountLimit = 255 * Digest.byteCount

  /// `byteCount` bytes from a secret; another `info` gives unrelated bytes.
  ///
  /// An empty salt counts as 32 zero bytes.
  package static func derive(
    secret: some Collection<UInt8>, salt: some Collection<UInt8>, info: some Collection<UInt8>,
    byteCount: Int
  ) throws(Failure) -> [UInt8] {
    try expand(extract(secret: secret, salt: salt), info: info, byteCount: byteCount)
  }

  /// The pseudorandom key of a secret (section 2.2).
  package static func extract(secret: some Collection<UInt8>, salt: some Collection<UInt8>)
    -> Digest
  {
    HMAC.authenticate(key: salt, secret)
  }

  /// Bytes from a pseudorandom key (section 2.3).
  package static func expand(_ key: Digest, info: some Collection<UInt8>, byteCount: Int)
    throws(Failure) -> [UInt8]
  {
    guard (0...byteCountLimit).contains(byteCount) else { throw .byteCount(byteCount) }
    let keyed = key.withUnsafeBytes { HMAC.Authenticator(key: $0) }
    var output: [UInt8] = []
    output.reserveCapacity(byteCount + Digest.byteCount)
    var counter: UInt8 = 0
    while output.count < byteCount {
      counter += 1
      var authenticator = keyed
      authenticator.update(output.suffix(Digest.byteCount))
      authenticator.update(info)
      authenticator.update(CollectionOfOne(counter))
      output += authenticator.finalize().bytes
    }
    output.removeLast(output.count - byteCount)
    return output
  }
}
