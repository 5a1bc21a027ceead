import Hashing
import JournalFormat
import Testing

/// What a crash leaves of the last batch, in either copy.
@Suite("Journal: torn writes") struct TornWriteTests {
  static let acknowledged = sample(5, byteCount: 70, seed: 2)
  static let batch = sample(6, byteCount: 400, seed: 3)
  static let fixture = SegmentFixture(batches: acknowledged.map { [$0] } + [batch])
  /// Where the last batch begins.
  static let start = fixture.positions[acknowledged.count].byteOffset
  static let end = fixture.positions.last!.byteOffset
  static let before = fixture.cleared(from: fixture.positions[acknowledged.count])

  /// Checks a pair: all that was acknowledged, and a prefix of the batch.
  static func expectPrefix(
    _ a: [UInt8], _ b: [UInt8], atLeast count: Int = acknowledged.count, _ because: String
  ) throws {
    let (walk, repair) = try recover(a, b)
    try #require(
      walk.payloads.count >= count
        && walk.payloads == Array(fixture.payloads[..<walk.payloads.count]), "\(because)")
    // Mended and cleared, the pair must be whole and say the same again.
    let mended = mend(a, b, repair)
    let again = try recover(mended.a, mended.b)
    try #require(again.walk.payloads == walk.payloads && again.repair.isEmpty, "\(because)")
    try #require(mended.a == mended.b, "\(because)")
  }

  /// Carries out a repair as the files' side does.
  static func mend(_ a: [UInt8], _ b: [UInt8], _ repair: SegmentRepair) -> (a: [UInt8], b: [UInt8])
  {
    var copies = [a, b]
    for rewrite in repair.rewrites {
      let good = rewrite.copy == .a ? b : a
      copies[rewrite.copy.rawValue].replaceSubrange(rewrite.range, with: good[rewrite.range])
    }
    if let drop = repair.drop {
      copies[drop.copy.rawValue].replaceSubrange(
        drop.range, with: repeatElement(0, count: drop.range.count))
    }
    return (copies[0], copies[1])
  }

  @Test("A torn at every byte while B is untouched: a prefix of the batch, then cleared")
  func tornA() throws {
    for cut in Self.start...Self.end {
      let torn = Self.fixture.bytes[..<cut] + Self.before[cut...]
      try Self.expectPrefix(Array(torn), Self.before, "cut at \(cut)")
    }
  }

  @Test("A whole and B torn at every byte: the whole batch, B mended")
  func tornB() throws {
    for cut in Self.start...Self.end {
      let torn = Self.fixture.bytes[..<cut] + Self.before[cut...]
      try Self.expectPrefix(
        Self.fixture.bytes, Array(torn), atLeast: Self.fixture.payloads.count, "cut at \(cut)")
    }
  }

  /// The sectors the last batch touches.
  static let sectors = Array(start / 512...(end - 1) / 512)

  @Test("any set of sectors of the batch reached A", arguments: 0..<1 << sectors.count)
  func sectorsOfA(reached: Int) throws {
    var torn = Self.before
    for (index, sector) in Self.sectors.enumerated() where reached >> index & 1 == 1 {
      let range = sector * 512..<(sector + 1) * 512
      torn.replaceSubrange(range, with: Self.fixture.bytes[range])
    }
    try Self.expectPrefix(torn, Self.before, "sectors \(reached)")
    try Self.expectPrefix(
      Self.fixture.bytes, torn, atLeast: Self.fixture.payloads.count, "sectors \(reached) of B")
  }

  @Test("a sector the write touched is zeroed, with what was in it before")
  func zeroedSector() throws {
    for sector in Self.sectors {
      var torn = Self.fixture.bytes
      torn.replaceSubrange(sector * 512..<(sector + 1) * 512, with: repeatElement(0, count: 512))
      // The first of them holds acknowledged frames; copy B still has those.
      try Self.expectPrefix(torn, Self.before, "sector \(sector) of A")
      try Self.expectPrefix(
        Self.fixture.bytes, torn, atLeast: Self.fixture.payloads.count, "sector \(sector) of B")
    }
  }

  @Test("two sectors change places")
  func swappedSectors() throws {
    for first in Self.sectors {
      for second in Self.sectors where second > first {
        var torn = Self.fixture.bytes
        for offset in 0..<512 { torn.swapAt(first * 512 + offset, second * 512 + offset) }
        try Self.expectPrefix(torn, Self.before, "\(first) and \(second) of A")
        try Self.expectPrefix(
          Self.fixture.bytes, torn, atLeast: Self.fixture.payloads.count,
          "\(first) and \(second) of B")
      }
    }
  }

  @Test("without a second copy a broken tail may have been acknowledged: refused")
  func noWitness() {
    for cut in Self.start + 1..<Self.end - 1
    where !Self.fixture.positions.contains(where: { $0.byteOffset == cut }) {
      let torn = Array(Self.fixture.bytes[..<cut] + Self.before[cut...])
      #expect(throws: JournalDefect.self) { _ = try recover(torn, nil) }
      #expect(throws: JournalDefect.self) { _ = try recover(nil, torn) }
      #expect(throws: JournalDefect.self, "cut off before the tail") {
        _ = try recover(torn, Array(Self.before[..<Self.start]))
      }
    }
  }

  @Test("a broken frame before one of a later batch is damage, though the other copy is zeros")
  func laterBatch() throws {
    let fixture = SegmentFixture(batches: sample(6, byteCount: 60).map { [$0] })
    let position = fixture.positions[3]
    var a = fixture.bytes
    a[position.byteOffset + 40] ^= 1
    let error = #expect(throws: JournalDefect.self) {
      _ = try recover(a, fixture.cleared(from: position))
    }
    #expect(error?.kind == .frameLost && error?.sequence == 4)
  }
}
