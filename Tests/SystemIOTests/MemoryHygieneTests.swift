import SystemIO
import Testing

@Suite("Memory hygiene") struct MemoryHygieneTests {
  static let tunables =
    "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0:glibc.pthread.stack_cache_size=0"
  static let backtrace = "registers=none,interactive=no,sanitize=yes"

  struct Row: Sendable {
    let variable: String
    let found: String?
    let wanted: String
    let because: String
  }

  static let rows = [
    Row(variable: "GLIBC_TUNABLES", found: nil, wanted: tunables, because: "nothing is set"),
    Row(
      variable: "GLIBC_TUNABLES", found: "glibc.malloc.arena_max=2",
      wanted: "glibc.malloc.arena_max=2:\(tunables)", because: "what else is tuned stays"),
    Row(
      variable: "GLIBC_TUNABLES", found: "glibc.malloc.perturb=0:glibc.malloc.arena_max=2",
      wanted: "glibc.malloc.arena_max=2:\(tunables)", because: "perturb must not be switched off"),
    Row(variable: "SWIFT_BACKTRACE", found: "", wanted: backtrace, because: "nothing is set"),
    Row(
      variable: "SWIFT_BACKTRACE", found: "enable=no,registers=all",
      wanted: "enable=no,\(backtrace)", because: "a report may be switched off, never widened"),
  ]

  @Test("adds what a variable lacks, and is content with the result", arguments: rows)
  func completes(_ row: Row) {
    let missing = MemoryHygiene.missing(from: row.found.map { [row.variable: $0] } ?? [:])
    #expect(missing[row.variable] == row.wanted, "\(row.because)")
    #expect(MemoryHygiene.missing(from: missing).isEmpty, "started again without end")
  }
}
