/// Single-precision values with a name and a shape, row-major.
package struct NamedTensor: Equatable, Sendable {
  package var name: String
  package var shape: [Int]
  package var values: [Float]

  package init(name: String, shape: [Int], values: [Float]) {
    precondition(shape.reduce(1, *) == values.count)
    self.name = name
    self.shape = shape
    self.values = values
  }

  /// The first element that is NaN or infinite.
  package var firstNotFinite: Int? { values.firstIndex { !$0.isFinite } }
}

/// Writes safetensors files as the reference writer does, so that equal tensors are equal bytes.
package enum SafetensorsWriter {
  /// The file's bytes: metadata first and sorted, tensors by name, the header padded to eight
  /// bytes.
  ///
  /// All tensors are F32, so the reference's order (alignment of the type, then name) is by name.
  /// - Precondition: no name stands twice.
  package static func encode(_ tensors: [NamedTensor], metadata: [String: String] = [:]) -> [UInt8]
  {
    let sorted = tensors.sorted { precedes($0.name, $1.name) }
    var bytes = header(sorted.map { ($0.name, $0.shape) }, metadata: metadata)
    bytes.reserveCapacity(bytes.count + sorted.reduce(0) { $0 + 4 * $1.values.count })
    for tensor in sorted {
      for value in tensor.values {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
      }
    }
    return bytes
  }

  /// The order of tensors in a file.
  static func precedes(_ left: String, _ right: String) -> Bool {
    Array(left.utf8).lexicographicallyPrecedes(Array(right.utf8))
  }

  /// Everything that stands before the values: the header's length and the header.
  ///
  /// - Parameter tensors: in the order of the file.
  static func header(
    _ tensors: [(name: String, shape: [Int])], metadata: [String: String] = [:]
  ) -> [UInt8] {
    var members: [(name: String, value: JSON)] = []
    if !metadata.isEmpty {
      let remarks = metadata.sorted { precedes($0.key, $1.key) }
      members.append(("__metadata__", .object(remarks.map { ($0.key, .string($0.value)) })))
    }
    var offset = 0
    for (index, tensor) in tensors.enumerated() {
      precondition(index == 0 || tensors[index - 1].name != tensor.name)
      let end = offset + 4 * tensor.shape.reduce(1, *)
      members.append(
        (
          tensor.name,
          .object([
            ("dtype", .string("F32")),
            ("shape", .array(tensor.shape.map { .number(String($0)) })),
            ("data_offsets", .array([.number(String(offset)), .number(String(end))])),
          ])
        ))
      offset = end
    }
    var header = JSON.object(members).compactBytes
    while !header.count.isMultiple(of: 8) { header.append(UInt8(ascii: " ")) }
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
  }
}
