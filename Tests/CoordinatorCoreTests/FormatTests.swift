import CoordinatorCore
import Testing

@Suite("Earlier formats") struct FormatTests {
  @Test("entries that listed every record are refused, not misread", arguments: [2, 7] as [UInt8])
  func entries(type: UInt8) {
    // Four zeros are an empty list: what an early entry of no slices was.
    for byteCount in [4, 64] {
      #expect(throws: (any Error).self) {
        try JournalEntry(encoded: [type] + Array(repeating: 0, count: byteCount))
      }
    }
  }

  @Test("a snapshot of an earlier format is refused by its name")
  func snapshot() throws {
    var bytes = try Bench().coordinator.state.encoded
    let version = try #require(bytes.firstIndex(of: UInt8(ascii: "2")))
    #expect(String(decoding: bytes[4...version], as: UTF8.self) == "lethe-run-state-2")
    bytes[version] = UInt8(ascii: "1")
    #expect(throws: (any Error).self) { try RunState(encoded: bytes) }
  }
}
