extension SHA256 {
  typealias State = (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)

  /// Takes whole blocks into the state.
  ///
  /// A block's words can be extended before any of its rounds, so long messages have that done for
  /// `laneCount` blocks at once, one to a vector lane. The rounds wait for each other and stay
  /// scalar; they are what bounds the speed.
  static func compress(_ state: inout State, _ message: UnsafeRawPointer, blockCount: Int) {
    let laneBlockCount = blockCount &- blockCount % laneCount
    if laneBlockCount > 0 {
      compressInLanes(&state, message, blockCount: laneBlockCount)
    }
    if laneBlockCount < blockCount {
      compressSingly(
        &state, message + laneBlockCount &* blockByteCount, blockCount: blockCount &- laneBlockCount
      )
    }
  }

  // Both copy the state in and out once: the working variables live in machine registers only
  // while no closure captures them.

  private static func compressInLanes(
    _ state: inout State, _ message: UnsafeRawPointer, blockCount: Int
  ) {
    withUnsafeTemporaryAllocation(of: SIMD8<UInt32>.self, capacity: roundCount) { [old = state] in
      let words = $0.baseAddress!
      let scalars = UnsafeRawPointer(words).assumingMemoryBound(to: UInt32.self)
      var variables = WorkingVariables(old)
      for block in stride(from: 0, to: blockCount, by: laneCount) {
        writeSchedule(words, message + block &* blockByteCount)
        for lane in 0..<laneCount { variables.take(scalars + lane, stride: laneCount) }
      }
      state = variables.state
    }
  }

  private static func compressSingly(
    _ state: inout State, _ message: UnsafeRawPointer, blockCount: Int
  ) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: roundCount) { [old = state] in
      let words = $0.baseAddress!
      var variables = WorkingVariables(old)
      for block in 0..<blockCount {
        writeSchedule(words, message + block &* blockByteCount)
        variables.take(words, stride: 1)
      }
      state = variables.state
    }
  }

  private static let roundCount = 64
  private static let laneCount = 8

  /// Writes each round's message word plus its constant, one block to a lane.
  @inline(__always)
  private static func writeSchedule<Word: ScheduleWord>(
    _ words: UnsafeMutablePointer<Word>, _ blocks: UnsafeRawPointer
  ) {
    // The last sixteen words, which the next ones follow from.
    var recent = InlineArray<16, Word> { Word(bigEndianAt: blocks + 4 &* $0) }
    for index in 0..<16 { words[index] = recent[index] &+ Word(repeating: roundConstants[index]) }

    @inline(__always)
    func extend(_ index: Int, _ first: Int) {
      let early = recent[(index &+ 1) & 15]
      let late = recent[(index &+ 14) & 15]
      let small0 = early.rotated(7) ^ early.rotated(18) ^ early.shifted(3)
      let small1 = late.rotated(17) ^ late.rotated(19) ^ late.shifted(10)
      recent[index] = recent[index] &+ small0 &+ recent[(index &+ 9) & 15] &+ small1
      words[first &+ index] = recent[index] &+ Word(repeating: roundConstants[first &+ index])
    }
    // With constant places the array becomes registers; a loop would go through memory.
    for first in stride(from: 16, to: roundCount, by: 16) {
      extend(0, first)
      extend(1, first)
      extend(2, first)
      extend(3, first)
      extend(4, first)
      extend(5, first)
      extend(6, first)
      extend(7, first)
      extend(8, first)
      extend(9, first)
      extend(10, first)
      extend(11, first)
      extend(12, first)
      extend(13, first)
      extend(14, first)
      extend(15, first)
    }
  }
}

/// A message word of one block, or of several blocks side by side.
private protocol ScheduleWord {
  init(repeating word: UInt32)
  init(bigEndianAt bytes: UnsafeRawPointer)
  static func &+ (left: Self, right: Self) -> Self
  static func ^ (left: Self, right: Self) -> Self
  func rotated(_ bits: UInt32) -> Self
  func shifted(_ bits: UInt32) -> Self
}

extension UInt32: ScheduleWord {
  @inline(__always) fileprivate init(repeating word: UInt32) { self = word }
  @inline(__always) fileprivate init(bigEndianAt bytes: UnsafeRawPointer) {
    self.init(bigEndian: bytes.loadUnaligned(as: UInt32.self))
  }
  @inline(__always) fileprivate func rotated(_ bits: UInt32) -> UInt32 {
    (self &>> bits) | (self &<< (32 &- bits))
  }
  @inline(__always) fileprivate func shifted(_ bits: UInt32) -> UInt32 { self &>> bits }
}

extension SIMD8<UInt32>: ScheduleWord {
  @inline(__always) fileprivate init(bigEndianAt bytes: UnsafeRawPointer) {
    self.init()
    for lane in 0..<8 { self[lane] = UInt32(bigEndianAt: bytes + lane &* SHA256.blockByteCount) }
  }
  @inline(__always) fileprivate func rotated(_ bits: UInt32) -> Self {
    (self &>> Self(repeating: bits)) | (self &<< Self(repeating: 32 &- bits))
  }
  @inline(__always) fileprivate func shifted(_ bits: UInt32) -> Self {
    self &>> Self(repeating: bits)
  }
}

/// The eight working variables of FIPS 180-4, section 6.2.2.
private struct WorkingVariables {
  private var a, b, c, d, e, f, g, h: UInt32

  @inline(__always)
  init(_ state: SHA256.State) { (a, b, c, d, e, f, g, h) = state }

  @inline(__always)
  var state: SHA256.State { (a, b, c, d, e, f, g, h) }

  /// One block: 64 rounds on its schedule, then the sum with what was there before.
  @inline(__always)
  mutating func take(_ words: UnsafePointer<UInt32>, stride: Int) {
    let old = self
    for round in Swift.stride(from: 0, to: 64, by: 8) {
      eightRounds(words + round &* stride, stride)
    }
    a &+= old.a
    b &+= old.b
    c &+= old.c
    d &+= old.d
    e &+= old.e
    f &+= old.f
    g &+= old.g
    h &+= old.h
  }

  /// Eight rounds after which every variable is back under its own name, so that nothing is moved.
  @inline(__always)
  private mutating func eightRounds(_ words: UnsafePointer<UInt32>, _ stride: Int) {
    // The majority of a, b and c is b where a and b agree, else c; b ^ c is the last round's a ^ b.
    var last = b ^ c
    Self.round(a, b, &last, &d, e, f, g, &h, words[0])
    Self.round(h, a, &last, &c, d, e, f, &g, words[stride])
    Self.round(g, h, &last, &b, c, d, e, &f, words[2 &* stride])
    Self.round(f, g, &last, &a, b, c, d, &e, words[3 &* stride])
    Self.round(e, f, &last, &h, a, b, c, &d, words[4 &* stride])
    Self.round(d, e, &last, &g, h, a, b, &c, words[5 &* stride])
    Self.round(c, d, &last, &f, g, h, a, &b, words[6 &* stride])
    Self.round(b, c, &last, &e, f, g, h, &a, words[7 &* stride])
  }

  @inline(__always)
  private static func round(
    _ a: UInt32, _ b: UInt32, _ last: inout UInt32, _ d: inout UInt32,
    _ e: UInt32, _ f: UInt32, _ g: UInt32, _ h: inout UInt32, _ word: UInt32
  ) {
    // The sums that wait for the last round come last.
    h = h &+ word &+ (g ^ (e & (f ^ g))) &+ (e.rotated(6) ^ e.rotated(11) ^ e.rotated(25))
    d = d &+ h
    let changed = a ^ b
    h = h &+ (b ^ (last & changed)) &+ (a.rotated(2) ^ a.rotated(13) ^ a.rotated(22))
    last = changed
  }
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
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
