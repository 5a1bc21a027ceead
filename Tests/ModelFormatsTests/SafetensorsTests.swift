import ModelFormats
import Testing

@Suite("Safetensors files")
struct SafetensorsTests {
  /// A file with that header and so many bytes of data.
  static func file(_ header: String, dataByteCount: Int) -> [UInt8] {
    var bytes = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
    bytes += Array(header.utf8)
    bytes += Array(repeating: 0, count: dataByteCount)
    return bytes
  }

  struct Row: CustomTestStringConvertible, Sendable {
    var header: String
    var data: Int
    var because: String
    var testDescription: String { because }
  }

  static let refused = [
    Row(header: "", data: 0, because: "no header"),
    Row(header: "[]", data: 0, because: "no object"),
    Row(header: " {}", data: 0, because: "does not begin with a brace"),
    Row(header: "{}", data: 4, because: "bytes that belong to no tensor"),
    Row(header: #"{"a":1}"#, data: 0, because: "an entry that is no object"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, data: 4,
      because: "an unknown field"),
    Row(
      header: #"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, data: 4,
      because: "an unknown type"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4,
      because: "a shape larger than its range"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, data: 4,
      because: "a negative size"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, data: 4,
      because: "a size that is no integer"),
    Row(
      header:
        #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
      data: 0, because: "a product that overflows to nothing"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, data: 4,
      because: "a range that runs backwards"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 3,
      because: "a file cut short"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, data: 8,
      because: "a hole before the first tensor"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
        + #""b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4,
      because: "two tensors over the same bytes"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
        + #""a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, data: 8,
      because: "one name twice"),
    Row(
      header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
        + #""\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, data: 8,
      because: "one name twice, once escaped"),
    Row(
      header: #"{"__metadata__":{"n":1}}"#, data: 0, because: "metadata that is no string"),
    Row(
      header: String(repeating: "[", count: 5000), data: 0, because: "deep nesting"),
    Row(
      header: #"{"a":"# + String(repeating: "[", count: 5000), data: 0,
      because: "deep nesting inside an object"),
  ]

  @Test("refuses what the format forbids", arguments: refused)
  func refuses(_ row: Row) {
    #expect(throws: SafetensorsError.self) {
      try SafetensorsFile(Self.file(row.header, dataByteCount: row.data))
    }
  }

  @Test("refuses a header length beyond the limit or the file")
  func headerLength() {
    #expect(throws: SafetensorsError.headerTooLarge(byteCount: .max)) {
      try SafetensorsFile(Array(repeating: 255, count: 64))
    }
    #expect(throws: SafetensorsError.truncated(byteCount: 10)) {
      try SafetensorsFile([200, 0, 0, 0, 0, 0, 0, 0, 123, 125])
    }
    for count in 0..<8 {
      #expect(throws: SafetensorsError.truncated(byteCount: count)) {
        try SafetensorsFile(Array(repeating: 0, count: count))
      }
    }
  }

  static let tensors = [
    NamedTensor(name: "b", shape: [2, 2], values: [1, -2, 3.5, .leastNonzeroMagnitude]),
    NamedTensor(name: "a.weight", shape: [3], values: [0, -0.0, 7]),
    NamedTensor(name: "scalar", shape: [], values: [4]),
  ]

  @Test("writes and reads the same values, and equal tensors as equal bytes")
  func roundTrip() throws {
    let bytes = SafetensorsWriter.encode(Self.tensors, metadata: ["format": "pt", "a": "ü\"\n"])
    #expect(
      bytes
        == SafetensorsWriter.encode(
          Self.tensors.reversed(), metadata: ["a": "ü\"\n", "format": "pt"]))
    let headerLength = Int(bytes[0]) | Int(bytes[1]) << 8
    #expect(headerLength.isMultiple(of: 8))
    let file = try SafetensorsFile(bytes)
    #expect(file.metadata.map(\.value) == ["ü\"\n", "pt"])
    #expect(file.tensors.map(\.name) == ["a.weight", "b", "scalar"])
    for tensor in Self.tensors {
      let values = try file.floats(tensor.name, shape: tensor.shape)
      #expect(values.map(\.bitPattern) == tensor.values.map(\.bitPattern))
    }
  }

  @Test("any byte cut off, and any prefix, is refused")
  func truncation() throws {
    let bytes = SafetensorsWriter.encode(Self.tensors)
    for count in 0..<bytes.count {
      #expect(throws: SafetensorsError.self) { try SafetensorsFile(bytes[..<count]) }
    }
  }

  @Test("a wrong question is answered with names and shapes")
  func questions() throws {
    let file = try SafetensorsFile(SafetensorsWriter.encode(Self.tensors))
    #expect(throws: SafetensorsError.missingTensor(name: "c")) {
      try file.floats("c", shape: [1])
    }
    #expect(throws: SafetensorsError.wrongShape(name: "b", expected: [4], found: [2, 2])) {
      try file.floats("b", shape: [4])
    }
    let header = #"{"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#
    let other = try SafetensorsFile(Self.file(header, dataByteCount: 8))
    #expect(
      throws: SafetensorsError.wrongType(name: "i", expected: .float32, found: .int64)
    ) {
      try other.floats("i", shape: [1])
    }
  }

  @Test("finds NaN and infinity", arguments: [Float.nan, .infinity, -.infinity])
  func notFinite(value: Float) throws {
    let bad = NamedTensor(name: "t", shape: [3], values: [0, value, 0])
    #expect(bad.firstNotFinite == 1)
    let file = try SafetensorsFile(SafetensorsWriter.encode([bad]))
    let tensor = try #require(file.tensor(named: "t"))
    #expect(throws: SafetensorsError.notFinite(name: "t", element: 1)) {
      try file.checkFinite(tensor)
    }
  }

  @Test("values off a four-byte boundary are refused, not read")
  func misaligned() throws {
    let bytes = SafetensorsWriter.encode(Self.tensors)
    try bytes.withUnsafeBytes { source in
      let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: bytes.count + 1, alignment: 16)
      defer { memory.deallocate() }
      let shifted = UnsafeMutableRawBufferPointer(rebasing: memory[1...])
      shifted.copyMemory(from: source)
      let file = try SafetensorsFile(UnsafeRawBufferPointer(shifted), owner: nil)
      #expect(throws: SafetensorsError.self) { try file.floats("scalar", shape: []) }
    }
  }
}
