/// HMAC-SHA-256 (RFC 2104).
package enum HMAC {
  package static func authenticate(key: some Collection<UInt8>, _ message: some Sequence<UInt8>)
    -> Digest
  {
    let shortKey = key.count > SHA256.blockByteCount ? SHA256.hash(key).bytes : Array(key)
    let padded = shortKey + repeatElement(0, count: SHA256.blockByteCount - shortKey.count)
    var inner = SHA256()
    inner.update(padded.map { $0 ^ 0x36 })
    inner.update(message)
    var outer = SHA256()
    outer.update(padded.map { $0 ^ 0x5c })
    outer.update(inner.finalize().bytes)
    return outer.finalize()
  }

  /// Whether two byte strings are equal, in a time that depends on their lengths alone.
  package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
  }
}
