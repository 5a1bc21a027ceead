/// SHA-256, one chunk at a time (FIPS 180-4).
///
/// Held to the NIST vectors, and to another implementation at every length of the first blocks.
package struct SHA256: Sendable {
  private var state: State = (
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
  )
  /// The first `pendingByteCount` bytes wait for the rest of their block.
  private var pending = InlineArray<64, UInt8>(repeating: 0)
  private var messageByteCount: UInt64 = 0

  package init() {}

  package static let blockByteCount = 64

  /// The digest of one message.
  @inlinable
  package static func hash(_ message: some Sequence<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(message)
    return hasher.finalize()
  }

  /// The digest of one message in memory.
  package static func hash(_ message: UnsafeRawBufferPointer) -> Digest {
    var hasher = SHA256()
    hasher.update(message)
    return hasher.finalize()
  }

  @inlinable
  package mutating func update(_ chunk: some Sequence<UInt8>) {
    let handled: Void? = chunk.withContiguousStorageIfAvailable {
      update(UnsafeRawBufferPointer($0))
    }
    if handled == nil { Array(chunk).withUnsafeBytes { update($0) } }
  }

  package mutating func update(_ chunk: UnsafeRawBufferPointer) {
    guard var rest = chunk.baseAddress, !chunk.isEmpty else { return }
    var restByteCount = chunk.count
    let pendingByteCount = self.pendingByteCount
    messageByteCount &+= UInt64(chunk.count)
    if pendingByteCount > 0 {
      let taken = min(restByteCount, Self.blockByteCount &- pendingByteCount)
      keep(rest, taken, at: pendingByteCount)
      guard pendingByteCount &+ taken == Self.blockByteCount else { return }
      let block = pending
      withUnsafeBytes(of: block) { Self.compress(&state, $0.baseAddress!, blockCount: 1) }
      rest += taken
      restByteCount &-= taken
    }
    let blockCount = restByteCount / Self.blockByteCount
    if blockCount > 0 {
      Self.compress(&state, rest, blockCount: blockCount)
      rest += blockCount &* Self.blockByteCount
      restByteCount &-= blockCount &* Self.blockByteCount
    }
    if restByteCount > 0 { keep(rest, restByteCount, at: 0) }
  }

  package consuming func finalize() -> Digest {
    let pendingByteCount = self.pendingByteCount
    let bitCount = messageByteCount &* 8
    // One bit, zeros, and the message's length in the last eight bytes of the last block.
    let blockCount = pendingByteCount < Self.blockByteCount &- 8 ? 1 : 2
    var end = InlineArray<128, UInt8>(repeating: 0)
    var state = self.state
    withUnsafeMutableBytes(of: &end) { end in
      let pending = self.pending
      withUnsafeBytes(of: pending) {
        end.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<pendingByteCount]))
      }
      end[pendingByteCount] = 0x80
      end.storeBytes(
        of: bitCount.bigEndian, toByteOffset: blockCount &* Self.blockByteCount &- 8,
        as: UInt64.self)
      Self.compress(&state, UnsafeRawPointer(end.baseAddress!), blockCount: blockCount)
    }
    return Digest(
      words: (
        Self.join(state.0, state.1), Self.join(state.2, state.3),
        Self.join(state.4, state.5), Self.join(state.6, state.7)
      ))
  }

  private var pendingByteCount: Int {
    Int(truncatingIfNeeded: messageByteCount & UInt64(Self.blockByteCount &- 1))
  }

  private mutating func keep(_ bytes: UnsafeRawPointer, _ byteCount: Int, at offset: Int) {
    withUnsafeMutableBytes(of: &pending) {
      ($0.baseAddress! + offset).copyMemory(from: bytes, byteCount: byteCount)
    }
  }

  private static func join(_ high: UInt32, _ low: UInt32) -> UInt64 {
    UInt64(high) << 32 | UInt64(low)
  }
}
