/// What the reference tokenizer knows about each Unicode scalar.
///
/// A text must give the same tokens in every build, as tokens decide bits; the standard library's
/// and Foundation's Unicode version changes with the toolchain. The reference itself mixes several
/// versions (categories of 2016, decompositions of 2019, a recent lower case), so these tables were
/// recorded from its behaviour on every scalar by `Tests/Fixtures/unicode/record.py`, and a test
/// holds them to it.
struct UnicodeTables: Sendable {
  /// Facts about one scalar, one bit each.
  struct Traits: OptionSet, Sendable {
    let rawValue: UInt8

    static let dropped = Traits(rawValue: 1)
    static let space = Traits(rawValue: 2)
    static let ideograph = Traits(rawValue: 4)
    static let mark = Traits(rawValue: 8)
    static let punctuation = Traits(rawValue: 16)
    static let reorders = Traits(rawValue: 32)
    static let decomposes = Traits(rawValue: 64)
    static let hasLowerCase = Traits(rawValue: 128)
  }

  /// Built once, as it takes a megabyte.
  static let shared = UnicodeTables()

  /// One entry per code point, so that a look-up is a load.
  private let traits: [Traits]
  /// Scalars with a decomposition, ascending, and where in `decompositions` each one stands.
  private let decomposing: [(scalar: UInt32, at: Int)]

  private init() {
    var traits = [Traits](repeating: [], count: 0x110000)
    func mark(_ ranges: [UInt32], _ trait: Traits, stride step: Int = 2) {
      for index in stride(from: 0, to: ranges.count, by: step) {
        for scalar in ranges[index]...ranges[index + 1] { traits[Int(scalar)].insert(trait) }
      }
    }
    mark(Self.dropped, .dropped)
    mark(Self.spaces, .space)
    mark(Self.ideographs, .ideograph)
    mark(Self.marks, .mark)
    mark(Self.punctuation, .punctuation)
    mark(Self.combiningClasses, .reorders, stride: 3)
    mark([Hangul.first, Hangul.last], .decomposes)
    for index in stride(from: 0, to: Self.lowerRuns.count, by: 4) {
      let (first, last) = (Int(Self.lowerRuns[index]), Int(Self.lowerRuns[index + 1]))
      for scalar in stride(from: first, through: last, by: Int(Self.lowerRuns[index + 2])) {
        traits[scalar].insert(.hasLowerCase)
      }
    }
    traits[Int(Self.dottedCapitalI)].insert(.hasLowerCase)
    var decomposing: [(scalar: UInt32, at: Int)] = []
    var index = 0
    while index < Self.decompositions.count {
      let scalar = Self.decompositions[index] & 0xff_ffff
      traits[Int(scalar)].insert(.decomposes)
      decomposing.append((scalar, index))
      index += 1 + Int(Self.decompositions[index] >> 24)
    }
    self.traits = traits
    self.decomposing = decomposing
  }

  subscript(scalar: UInt32) -> Traits { traits[Int(scalar)] }

  /// The one letter whose lower case is two scalars: `i` and a dot above.
  static let dottedCapitalI: UInt32 = 0x130
  static let dotAbove: UInt32 = 0x307

  /// The lower case of a scalar with `hasLowerCase`, apart from `dottedCapitalI`.
  func lowerCase(_ scalar: UInt32) -> UInt32 {
    var (low, high) = (0, Self.lowerRuns.count / 4)
    while high - low > 1 {
      let middle = (low + high) / 2
      if Self.lowerRuns[4 * middle] <= Int32(scalar) { low = middle } else { high = middle }
    }
    // Runs of stride 2 interleave: the run that holds a scalar may start before its neighbour.
    while low >= 0 {
      let (first, last) = (Self.lowerRuns[4 * low], Self.lowerRuns[4 * low + 1])
      let (step, distance) = (Self.lowerRuns[4 * low + 2], Self.lowerRuns[4 * low + 3])
      if Int32(scalar) <= last, (Int32(scalar) - first).isMultiple(of: step) {
        return UInt32(Int32(scalar) + distance)
      }
      low -= 1
    }
    return scalar
  }

  /// The canonical combining class of a scalar with `reorders`.
  func combiningClass(_ scalar: UInt32) -> UInt32 {
    var (low, high) = (0, Self.combiningClasses.count / 3)
    while high - low > 1 {
      let middle = (low + high) / 2
      if Self.combiningClasses[3 * middle] <= scalar { low = middle } else { high = middle }
    }
    return Self.combiningClasses[3 * low + 2]
  }

  /// The full canonical decomposition of a scalar with `decomposes`.
  func decomposition(_ scalar: UInt32) -> [UInt32] {
    if scalar >= Hangul.first && scalar <= Hangul.last { return Hangul.decompose(scalar) }
    var (low, high) = (0, decomposing.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if decomposing[middle].scalar <= scalar { low = middle } else { high = middle }
    }
    let start = decomposing[low].at
    return Array(
      Self.decompositions[start + 1...start + Int(Self.decompositions[start] >> 24)])
  }
}

/// Korean syllables, which decompose by arithmetic (The Unicode Standard, section 3.12).
private enum Hangul {
  static let first: UInt32 = 0xac00
  static let last: UInt32 = 0xd7a3
  private static let vowelCount: UInt32 = 21
  private static let tailCount: UInt32 = 28

  static func decompose(_ syllable: UInt32) -> [UInt32] {
    let index = syllable - first
    let lead = 0x1100 + index / (vowelCount * tailCount)
    let vowel = 0x1161 + index % (vowelCount * tailCount) / tailCount
    let tail = index % tailCount
    return tail == 0 ? [lead, vowel] : [lead, vowel, 0x11a7 + tail]
  }
}
