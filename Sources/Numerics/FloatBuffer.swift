/// Floats on a 64-byte boundary, zero at first, freed with the last reference.
///
/// - Note: `@unchecked Sendable`: the memory is unguarded. Its owner either fills it before sharing
///   it and never again, or keeps it to one thread.
package final class FloatBuffer: @unchecked Sendable {
  package let count: Int
  package let pointer: UnsafeMutablePointer<Float>

  package init(count: Int) {
    precondition(count >= 0)
    self.count = count
    // One float at least, so that an empty buffer still has an address.
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64)
    pointer = raw.bindMemory(to: Float.self, capacity: max(count, 1))
    pointer.initialize(repeating: 0, count: max(count, 1))
  }

  package convenience init(_ values: some Collection<Float>) {
    self.init(count: values.count)
    for (index, value) in values.enumerated() { pointer[index] = value }
  }

  deinit { UnsafeMutableRawPointer(pointer).deallocate() }

  package var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
