/// Why bytes are not the block that was asked for.
package enum BlockProblem: Error, Equatable, Sendable {
  case tooLarge(byteCount: Int, expected: Int)
  /// No file that the format's reader takes, or one with a value that is not finite.
  case unreadable(SafetensorsError)
  case missingTensor(name: String)
  case wrongShape(name: String, expected: [Int], found: [Int])
  case wrongType(name: String, found: TensorType)
  /// The right tensors, written in another way than the one there is.
  case notCanonical
  /// A stage without records must hand on the head that it was given.
  case otherHead
}

extension BlockForm {
  /// Holds bytes against what a block of these layers must be.
  ///
  /// The length is compared first, so that what is too large costs nothing.
  package func check(_ bytes: [UInt8], layers: Range<Int>) throws(BlockProblem) {
    let expected = tensors(layers: layers)
    let header = SafetensorsWriter.header(expected.map { ($0.name, $0.shape) })
    let byteCount = header.count + expected.reduce(0) { $0 + 4 * $1.valueCount }
    guard bytes.count <= byteCount else {
      throw .tooLarge(byteCount: bytes.count, expected: byteCount)
    }
    let file: SafetensorsFile
    do {
      file = try SafetensorsFile(bytes)
    } catch {
      throw .unreadable(error)
    }
    for tensor in expected {
      guard let found = file.tensor(named: tensor.name) else {
        throw .missingTensor(name: tensor.name)
      }
      guard found.shape == tensor.shape else {
        throw .wrongShape(name: tensor.name, expected: tensor.shape, found: found.shape)
      }
      guard found.type == .float32 else {
        throw .wrongType(name: tensor.name, found: found.type)
      }
    }
    // The same tensors can be written in many ways; a block has one, as its name is its hash.
    // Beside all of them there was no room for another.
    guard bytes.count == byteCount, bytes.starts(with: header) else { throw .notCanonical }
    for tensor in file.tensors {
      do {
        try file.checkFinite(tensor)
      } catch {
        throw .unreadable(error)
      }
    }
  }

  /// Holds bytes against what a stage without records must hand on.
  ///
  /// - Parameter parent: the bytes of the block before it, which were checked when they came;
  ///   `nil` for a first stage, whose head is zero.
  package func checkHandedOn(_ bytes: [UInt8], parent: [UInt8]?) throws(BlockProblem) {
    try check(bytes, layers: 0..<0)
    let head = bytes.suffix(headByteCount)
    guard parent.map({ $0.suffix(head.count) == head }) ?? head.allSatisfy({ $0 == 0 }) else {
      throw .otherHead
    }
  }

}

extension BlockProblem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .tooLarge(let byteCount, let expected):
      "it has \(byteCount) bytes where the block has \(expected)"
    case .unreadable(let error): "it cannot be read: \(Self.clipped("\(error)"))"
    case .missingTensor(let name): "tensor '\(name)' is missing"
    case .wrongShape(let name, let expected, let found):
      "tensor '\(name)' has shape \(Self.clipped("\(found)")), expected \(expected)"
    case .wrongType(let name, let found):
      "tensor '\(name)' is \(found.rawValue), expected \(TensorType.float32.rawValue)"
    case .notCanonical:
      "its tensors are the right ones, but not written in the one form that blocks have"
    case .otherHead: "a stage without records hands on the head of the block before it, unchanged"
    }
  }

  /// What a peer wrote, short and without anything that moves a cursor.
  private static func clipped(_ text: String) -> String {
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(200) {
      let isPlain = scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7f
      scalars.append(isPlain ? scalar : "?")
    }
    return String(scalars)
  }
}
