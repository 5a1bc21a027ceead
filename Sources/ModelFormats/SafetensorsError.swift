/// Why a safetensors file, or one tensor of it, cannot be used.
package enum SafetensorsError: Error, Equatable, Sendable {
  /// Shorter than its own header says, or than any file can be.
  case truncated(byteCount: Int)
  /// The header is larger than the limit, or than the file.
  case headerTooLarge(byteCount: UInt64)
  /// The header is not the JSON it must be.
  case malformedHeader(reason: String)
  /// One tensor's entry contradicts itself or the rest.
  case malformedTensor(name: String, reason: String)
  case missingTensor(name: String)
  case wrongType(name: String, expected: TensorType, found: TensorType)
  case wrongShape(name: String, expected: [Int], found: [Int])
  /// A value that is not a number or is infinite, at this element.
  case notFinite(name: String, element: Int)
}

extension SafetensorsError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .truncated(let count): "the file ends early, after \(count) bytes"
    case .headerTooLarge(let count): "a header of \(count) bytes is too large"
    case .malformedHeader(let reason): "the header cannot be read: \(reason)"
    case .malformedTensor(let name, let reason): "tensor '\(name)': \(reason)"
    case .missingTensor(let name): "tensor '\(name)' is missing"
    case .wrongType(let name, let expected, let found):
      "tensor '\(name)' is \(found.rawValue), expected \(expected.rawValue)"
    case .wrongShape(let name, let expected, let found):
      "tensor '\(name)' has shape \(found), expected \(expected)"
    case .notFinite(let name, let element):
      "tensor '\(name)' holds NaN or infinity at element \(element)"
    }
  }
}

/// The element types of the format, as it spells them.
package enum TensorType: String, Sendable, CaseIterable {
  case bool = "BOOL"
  case uint8 = "U8"
  case int8 = "I8"
  case float8E5M2 = "F8_E5M2"
  case float8E4M3 = "F8_E4M3"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  package var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8, .float8E5M2, .float8E4M3: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .float64, .int64, .uint64: 8
    }
  }
}
