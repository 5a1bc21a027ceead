/// SHA-256, one chunk at a time (FIPS 180-4).
///
/// Held to the NIST vectors and to `sha256sum` at every length around a block boundary.
package struct SHA256: Sendable {
  private var state: InlineArray<8, UInt32> = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
  ]
  /// Bytes of a block that is not whole yet.
  private var pending: [UInt8] = []
  private var messageByteCount: UInt64 = 0

  package init() {
    pending.reserveCapacity(Self.blockByteCount)
  }

  package static let blockByteCount = 64

  /// The digest of one message.
  package static func hash(_ message: some Sequence<UInt8>) -> Digest {
    var hasher = SHA256()
    hasher.update(message)
    return hasher.finalize()
  }

  package mutating func update(_ chunk: some Sequence<UInt8>) {
    let handled: Void? = chunk.withContiguousStorageIfAvailable {
      update(UnsafeRawBufferPointer($0))
    }
    if handled == nil { Array(chunk).withUnsafeBytes { update($0) } }
  }

  package mutating func update(_ chunk: UnsafeRawBufferPointer) {
    messageByteCount &+= UInt64(chunk.count)
    var rest = chunk[...]
    if !pending.isEmpty {
      let taken = rest.prefix(Self.blockByteCount - pending.count)
      pending.append(contentsOf: taken)
      rest = rest.dropFirst(taken.count)
      guard pending.count == Self.blockByteCount else { return }
      pending.withUnsafeBytes { compress($0.baseAddress!, blockCount: 1) }
      pending.removeAll(keepingCapacity: true)
    }
    let blockCount = rest.count / Self.blockByteCount
    if blockCount > 0 {
      let whole = UnsafeRawBufferPointer(rebasing: rest)
      compress(whole.baseAddress!, blockCount: blockCount)
      rest = rest.dropFirst(blockCount * Self.blockByteCount)
    }
    pending.append(contentsOf: rest)
  }

  package consuming func finalize() -> Digest {
    let bitCount = messageByteCount &* 8
    var padding: [UInt8] = [0x80]
    let used = (pending.count + 1 + 8) % Self.blockByteCount
    padding.append(contentsOf: repeatElement(0, count: used == 0 ? 0 : Self.blockByteCount - used))
    withUnsafeBytes(of: bitCount.bigEndian) { padding.append(contentsOf: $0) }
    update(padding)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Digest.byteCount)
    for index in 0..<8 {
      withUnsafeBytes(of: state[index].bigEndian) { bytes.append(contentsOf: $0) }
    }
    return Digest(bytes)!
  }

  private mutating func compress(_ message: UnsafeRawPointer, blockCount: Int) {
    var schedule = InlineArray<16, UInt32>(repeating: 0)
    for block in 0..<blockCount {
      let words = message + block * Self.blockByteCount
      for index in 0..<16 {
        schedule[index] = UInt32(
          bigEndian: words.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
      }
      var (a, b, c, d) = (state[0], state[1], state[2], state[3])
      var (e, f, g, h) = (state[4], state[5], state[6], state[7])
      // Sixteen rounds a pass; the schedule is extended in place, sixteen words at a time.
      for pass in 0..<4 {
        for index in 0..<16 {
          let word: UInt32
          if pass == 0 {
            word = schedule[index]
          } else {
            let early = schedule[(index + 1) & 15]
            let late = schedule[(index + 14) & 15]
            let small0 = rotate(early, 7) ^ rotate(early, 18) ^ (early &>> 3)
            let small1 = rotate(late, 17) ^ rotate(late, 19) ^ (late &>> 10)
            word = schedule[index] &+ small0 &+ schedule[(index + 9) & 15] &+ small1
            schedule[index] = word
          }
          let big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
          let choice = g ^ (e & (f ^ g))
          let first = h &+ big1 &+ choice &+ roundConstants[pass &* 16 &+ index] &+ word
          let big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
          let majority = (a & b) | (c & (a | b))
          (h, g, f, e) = (g, f, e, d &+ first)
          (d, c, b, a) = (c, b, a, first &+ big0 &+ majority)
        }
      }
      state[0] &+= a
      state[1] &+= b
      state[2] &+= c
      state[3] &+= d
      state[4] &+= e
      state[5] &+= f
      state[6] &+= g
      state[7] &+= h
    }
  }
}

@inline(__always)
private func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 {
  (word &>> bits) | (word &<< (32 &- bits))
}

private let roundConstants: InlineArray<64, UInt32> = [
  0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4,
  0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe,
  0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f,
  0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da, 0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
  0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc,
  0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
  0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070, 0x19a4_c116,
  0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
  0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7,
  0xc671_78f2,
]
