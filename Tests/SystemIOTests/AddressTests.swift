import SystemIO
import Testing

@Suite("Addresses") struct AddressTests {
  static let rows: [(host: String, isLoopback: Bool, because: String)] = [
    ("127.0.0.1", true, "the loopback address"), ("127.8.9.1", true, "all of its network"),
    ("::1", true, "the other family's"), ("::ffff:127.0.0.1", true, "the one inside the other"),
    ("localhost", true, "its name"), ("127.0.0.1.evil.example", false, "a name of somebody's"),
    ("127.evil.example", false, "likewise"), ("127.1", false, "not an address as written"),
    ("10.0.0.1", false, "another network"), ("::", false, "everywhere"),
    ("localhost.evil.example", false, "a name of somebody's"), ("128.0.0.1", false, "next to it"),
  ]

  @Test("loopback is an address, not what a name begins with", arguments: rows)
  func loopback(_ row: (host: String, isLoopback: Bool, because: String)) {
    #expect(
      NetworkAddress(host: row.host, port: 1).isLoopback == row.isLoopback, "\(row.because)")
  }
}
