import Foundation
import Hashing
import Ledger
import Testing

@Suite("RFC 3339") struct RFC3339Tests {
  @Test(
    "writes known times",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z", "the beginning"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z", "a leap day in a year divisible by 400"),
      (1_767_225_600_001, "2026-01-01T00:00:00.001Z", "a millisecond no double of seconds holds"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "no leap day in a year divisible by 100"),
      (253_402_300_799_999, "9999-12-31T23:59:59.999Z", "the end"),
    ] as [(Int64, String, String)])
  func known(milliseconds: Int64, text: String, because: String) {
    #expect(RFC3339.text(milliseconds: milliseconds) == text, "\(because)")
  }

  @Test("agrees with Foundation in whole seconds", arguments: UInt64(0)..<8)
  func foundation(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let seconds = Int64(random.next() % 253_402_300_800)
      let date = Date(timeIntervalSince1970: TimeInterval(seconds))
      let text = date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
      #expect(RFC3339.text(milliseconds: seconds * 1000) == text)
    }
  }
}
