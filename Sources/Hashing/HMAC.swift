/// HMAC-SHA-256 (RFC 2104).
package enum HMAC {
  @inlinable
  package static func authenticate(key: some Collection<UInt8>, _ message: some Sequence<UInt8>)
    -> Digest
  {
    var authenticator = Authenticator(key: key)
    authenticator.update(message)
    return authenticator.finalize()
  }

  /// The tag of one message, which may come in chunks.
  ///
  /// A copy that has seen no message yet saves the two blocks that the key costs.
  package struct Authenticator: Sendable {
    private var inner = SHA256()
    private var outer = SHA256()

    @inlinable
    package init(key: some Collection<UInt8>) {
      let authenticator = key.withContiguousStorageIfAvailable {
        Self(key: UnsafeRawBufferPointer($0))
      }
      self = authenticator ?? Array(key).withUnsafeBytes { Self(key: $0) }
    }

    package init(key: UnsafeRawBufferPointer) {
      var padded = InlineArray<64, UInt8>(repeating: 0)
      if key.count > SHA256.blockByteCount {
        SHA256.hash(key).withUnsafeBytes { digest in
          withUnsafeMutableBytes(of: &padded) { $0.copyMemory(from: digest) }
        }
      } else {
        withUnsafeMutableBytes(of: &padded) { $0.copyMemory(from: key) }
      }
      for index in padded.indices { padded[index] ^= 0x36 }
      withUnsafeBytes(of: padded) { inner.update($0) }
      for index in padded.indices { padded[index] ^= 0x36 ^ 0x5c }
      withUnsafeBytes(of: padded) { outer.update($0) }
    }

    @inlinable
    package mutating func update(_ chunk: some Sequence<UInt8>) {
      let handled: Void? = chunk.withContiguousStorageIfAvailable {
        update(UnsafeRawBufferPointer($0))
      }
      if handled == nil { Array(chunk).withUnsafeBytes { update($0) } }
    }

    package mutating func update(_ chunk: UnsafeRawBufferPointer) { inner.update(chunk) }

    package consuming func finalize() -> Digest {
      var outer = self.outer
      inner.finalize().withUnsafeBytes { outer.update($0) }
      return outer.finalize()
    }
  }

  /// Whether two byte strings are equal, in a time that depends on their lengths alone.
  package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
  }
}
