/// A safetensors file in memory: which tensors it holds and where their bytes are.
///
/// The header is checked whole before any tensor is handed out: sizes without overflow, ranges in
/// one piece from the first byte to the last, no name twice. Values are not read, so a mapped file
/// costs no memory until they are.
///
/// - Note: `@unchecked Sendable`: the memory is only read, and `owner` keeps it alive.
/// - SeeAlso: the format's description at huggingface.co/docs/safetensors.
package final class SafetensorsFile: @unchecked Sendable {
  package struct Tensor: Sendable, Equatable {
    package let name: String
    package let type: TensorType
    package let shape: [Int]
    /// Counted from the first byte after the header.
    package let byteRange: Range<Int>
  }

  /// In the order of their bytes.
  package let tensors: [Tensor]
  /// The file's own remarks, sorted by name.
  package let metadata: [(name: String, value: String)]

  private let indexOfName: [String: Int]
  private let data: UnsafeRawBufferPointer
  private let owner: AnyObject?

  /// Sixteen mebibytes describe some hundred thousand tensors; the reference allows a hundred.
  package static let headerByteLimit: UInt64 = 16 << 20

  /// Reads the header of a file that stands in `memory`, which `owner` keeps valid.
  package init(_ memory: UnsafeRawBufferPointer, owner: AnyObject?) throws(SafetensorsError) {
    guard memory.count >= 8 else { throw .truncated(byteCount: memory.count) }
    let length = UInt64(littleEndian: memory.loadUnaligned(as: UInt64.self))
    guard length <= Self.headerByteLimit else { throw .headerTooLarge(byteCount: length) }
    guard length <= UInt64(memory.count - 8) else { throw .truncated(byteCount: memory.count) }
    let header = memory[8..<8 + Int(length)]
    guard header.first == UInt8(ascii: "{") else {
      throw .malformedHeader(reason: "it does not begin with '{'")
    }
    let dataByteCount = memory.count - 8 - Int(length)
    (tensors, metadata) = try Self.parse(header, dataByteCount: dataByteCount)
    // Names were compared as bytes already; equal strings here would still be ambiguous.
    var index: [String: Int] = [:]
    for (place, tensor) in tensors.enumerated() {
      guard index.updateValue(place, forKey: tensor.name) == nil else {
        throw .malformedTensor(name: tensor.name, reason: "its name stands twice")
      }
    }
    indexOfName = index
    data = UnsafeRawBufferPointer(rebasing: memory[(8 + Int(length))...])
    self.owner = owner
  }

  /// Keeps a copy of the bytes in aligned memory of its own.
  package convenience init(_ bytes: some Collection<UInt8>) throws(SafetensorsError) {
    let copy = OwnedBytes(bytes)
    try self.init(UnsafeRawBufferPointer(copy.buffer), owner: copy)
  }

  package func tensor(named name: String) -> Tensor? { indexOfName[name].map { tensors[$0] } }

  /// The values of an F32 tensor of exactly that shape, in place; valid as long as the file is.
  package func floats(_ name: String, shape: [Int]) throws(SafetensorsError)
    -> UnsafeBufferPointer<Float>
  {
    guard let tensor = tensor(named: name) else { throw .missingTensor(name: name) }
    guard tensor.shape == shape else {
      throw .wrongShape(name: name, expected: shape, found: tensor.shape)
    }
    return try floats(tensor)
  }

  /// The values of an F32 tensor, in place; valid as long as the file is.
  package func floats(_ tensor: Tensor) throws(SafetensorsError) -> UnsafeBufferPointer<Float> {
    guard tensor.type == .float32 else {
      throw .wrongType(name: tensor.name, expected: .float32, found: tensor.type)
    }
    let bytes = UnsafeRawBufferPointer(rebasing: data[tensor.byteRange])
    guard let base = bytes.baseAddress, !bytes.isEmpty else {
      return UnsafeBufferPointer(start: nil, count: 0)
    }
    guard UInt(bitPattern: base).isMultiple(of: 4) else {
      throw .malformedTensor(name: tensor.name, reason: "its values are not on a 4-byte boundary")
    }
    return bytes.bindMemory(to: Float.self)
  }

  /// Refuses a tensor with NaN or an infinity; reads all its values.
  package func checkFinite(_ tensor: Tensor) throws(SafetensorsError) {
    let values = try floats(tensor)
    for (element, value) in values.enumerated() where !value.isFinite {
      throw .notFinite(name: tensor.name, element: element)
    }
  }
}

/// Bytes on a 64-byte boundary.
private final class OwnedBytes {
  let buffer: UnsafeMutableRawBufferPointer

  init(_ bytes: some Collection<UInt8>) {
    buffer = .allocate(byteCount: bytes.count, alignment: 64)
    buffer.copyBytes(from: bytes)
  }

  deinit { buffer.deallocate() }
}
