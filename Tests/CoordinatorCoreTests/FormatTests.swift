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

  @Test("a snapshot without trainers and disputes is read, and so is a block without its key")
  func withoutKeys() throws {
    var bench = try Bench()
    bench.join(1)
    bench.trainAll()
    var state = bench.coordinator.state
    for entry in bench.entries {
      guard case .committed(var block) = entry else { continue }
      #expect(entry.encoded[0] == 24 && block.trainer == Bench.identity("h"))
      #expect(try JournalEntry(encoded: entry.encoded) == entry)
      block.trainer = nil
      // As a build before wrote it.
      let old = JournalEntry.committed(block)
      #expect(old.encoded[0] == 6 && (try? JournalEntry(encoded: old.encoded)) == old)
      state.apply(old)
    }
    state.refreshKeys()
    let name = Array("lethe-run-state-".utf8)
    let (known, new) = (state.encoded, bench.coordinator.state.encoded)
    #expect(known[4...].starts(with: name + [UInt8(ascii: "2")]))
    #expect(new[4...].starts(with: name + [UInt8(ascii: "3")]))
    #expect(try RunState(encoded: known) == state)
    #expect(try RunState(encoded: new) == bench.coordinator.state)
  }
}
