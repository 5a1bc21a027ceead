/// SplitMix64: a small generator whose every output follows from its seed.
///
/// The library's own generators may change between versions, and bits are the product here, so the
/// few random numbers of training come from this one.
///
/// - SeeAlso: Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number in [0, 1) on a grid of 2⁻²⁴, exact in 32-bit floating point.
  package mutating func nextUnitFloat() -> Float {
    Float(next() >> 40) * 0x1p-24
  }
}
