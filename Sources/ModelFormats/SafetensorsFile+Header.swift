extension SafetensorsFile {
  static func parse(_ header: Slice<UnsafeRawBufferPointer>, dataByteCount: Int)
    throws(SafetensorsError) -> (tensors: [Tensor], metadata: [(name: String, value: String)])
  {
    let json: JSON
    do {
      json = try JSON(parsing: header)
    } catch {
      throw .malformedHeader(reason: "\(error.reason), at byte \(error.byteOffset)")
    }
    guard case .object(let members) = json else { throw .malformedHeader(reason: "no object") }
    var tensors: [Tensor] = []
    var metadata: [(name: String, value: String)] = []
    for (name, value) in members {
      if name == "__metadata__" {
        metadata = try remarks(value)
      } else {
        tensors.append(try tensor(name, value))
      }
    }
    tensors.sort {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    try checkCoverage(tensors, dataByteCount: dataByteCount)
    return (tensors, metadata.sorted { $0.name < $1.name })
  }

  private static func remarks(_ value: JSON) throws(SafetensorsError)
    -> [(name: String, value: String)]
  {
    guard case .object(let members) = value else {
      throw .malformedHeader(reason: "__metadata__ is no object")
    }
    var remarks: [(name: String, value: String)] = []
    for (name, value) in members {
      guard let text = value.string else {
        throw .malformedHeader(reason: "__metadata__ holds something else than strings")
      }
      remarks.append((name, text))
    }
    return remarks
  }

  private static func tensor(_ name: String, _ value: JSON) throws(SafetensorsError) -> Tensor {
    func refuse(_ reason: String) -> SafetensorsError {
      .malformedTensor(name: name, reason: reason)
    }
    guard case .object(let members) = value, members.count == 3 else {
      throw refuse("it needs dtype, shape and data_offsets, and nothing else")
    }
    guard let typeName = value["dtype"]?.string, let type = TensorType(rawValue: typeName) else {
      throw refuse("its dtype is unknown")
    }
    guard let sizes = value["shape"]?.array, let ends = value["data_offsets"]?.array else {
      throw refuse("its shape or data_offsets are no list")
    }
    var shape: [Int] = []
    var byteCount = type.byteCount
    for size in sizes {
      guard let size = size.integer, size >= 0 else { throw refuse("its shape is no size") }
      let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
      guard !overflow else { throw refuse("its shape is too large") }
      byteCount = product
      shape.append(size)
    }
    guard ends.count == 2, let start = ends[0].integer, let end = ends[1].integer, start >= 0,
      start <= end
    else { throw refuse("its data_offsets are no range") }
    guard end - start == byteCount else {
      throw refuse("its range has \(end - start) bytes, its shape needs \(byteCount)")
    }
    return Tensor(name: name, type: type, shape: shape, byteRange: start..<end)
  }

  /// Every byte belongs to exactly one tensor, as the reference reader demands.
  private static func checkCoverage(_ tensors: [Tensor], dataByteCount: Int)
    throws(SafetensorsError)
  {
    var end = 0
    for tensor in tensors {
      guard tensor.byteRange.lowerBound == end else {
        throw .malformedTensor(
          name: tensor.name,
          reason: "its bytes begin at \(tensor.byteRange.lowerBound) where \(end) is expected")
      }
      end = tensor.byteRange.upperBound
    }
    guard end <= dataByteCount else { throw .truncated(byteCount: dataByteCount) }
    guard end == dataByteCount else {
      throw .malformedHeader(reason: "\(dataByteCount - end) bytes belong to no tensor")
    }
  }
}
