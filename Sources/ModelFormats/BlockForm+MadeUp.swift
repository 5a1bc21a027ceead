/// Blocks that nobody trained, for benchmarks and tests of whoever takes them.
extension BlockForm {
  /// A block of these layers, different for every seed.
  package func madeUp(layers: Range<Int>, seed: [UInt8]) -> [UInt8] {
    encode(layers: layers) { tensor, index in
      Float(seed[(index + tensor.name.utf8.count) % seed.count]) / 256 - 0.5
    }
  }

  /// What a stage without records must hand in.
  ///
  /// - Parameter parent: the bytes of the block before it, or those of its head alone; `nil` for a
  ///   first stage.
  package func handedOn(parent: [UInt8]?) -> [UInt8] {
    let zero = encode(layers: 0..<0) { _, _ in 0 }
    guard let parent else { return zero }
    return zero.dropLast(headByteCount) + parent.suffix(headByteCount)
  }

  /// How many bytes at the end of every block are its head: `classifier` sorts behind the paths of
  /// all layers.
  package var headByteCount: Int { 4 * headTensors.reduce(0) { $0 + $1.valueCount } }
}
