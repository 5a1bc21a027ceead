import Hashing
import JournalFormat
import Testing

/// Every byte of a 1 MB journal, damaged in one copy and in both.
@Suite("Journal: flipped bytes") struct FlipTests {
  static let fixture = SegmentFixture(batches: sample(4600, byteCount: 160).map { [$0] })

  enum Which: String, CaseIterable { case a, b, both }

  @Test(
    "one copy: the same payload and the copy named; both: always refused", arguments: Which.allCases
  )
  func everyByte(which: Which) throws {
    let fixture = Self.fixture
    try #require(fixture.bytes.count > 1_000_000)
    var twin = fixture.twin
    var (wrong, frame) = (0, 0)
    for index in SegmentHeader.byteCount..<twin.a!.count {
      while frame + 1 < fixture.positions.count,
        fixture.positions[frame + 1].byteOffset <= index
      { frame += 1 }
      let mask: UInt8 = 1 << UInt8(index % 8)
      if which != .b { twin.a![index] ^= mask }
      if which != .a { twin.b![index] ^= mask }
      if !Self.isRight(twin, fixture, frame, which) { wrong += 1 }
      if which != .b { twin.a![index] ^= mask }
      if which != .a { twin.b![index] ^= mask }
    }
    #expect(wrong == 0)
    #expect(twin.a == fixture.bytes && twin.b == fixture.bytes)
  }

  static func isRight(
    _ twin: TwinSegment, _ fixture: SegmentFixture, _ frame: Int, _ which: Which
  ) -> Bool {
    let ending = TwinSegment.Ending()
    do throws(JournalDefect) {
      switch try twin.step(at: fixture.positions[frame], ending: ending) {
      case .frame(let found, let source, let damaged, let next):
        guard which != .both, let bytes = twin.bytes(of: source) else { return false }
        return damaged == (which == .a ? .a : .b) && next == fixture.positions[frame + 1]
          && bytes[found.payload].elementsEqual(fixture.payloads[frame])
      case .end(let drop):
        // In the spare zeros of one copy: cleared, at no cost.
        return which != .both && frame == fixture.payloads.count
          && drop?.copy == (which == .a ? .a : .b)
      }
    } catch {
      return which == .both && error.sequence == UInt64(frame) + 1
    }
  }

  @Test("a header damaged in one copy is mended, in both refused", arguments: Which.allCases)
  func header(which: Which) {
    let fixture = SegmentFixture(batches: [[[1]], [[2]]])
    for index in 0..<SegmentHeader.byteCount {
      var (a, b) = (fixture.bytes, fixture.bytes)
      if which != .b { a[index] ^= 0x10 }
      if which != .a { b[index] ^= 0x10 }
      let found = try? recover(a, b)
      if which == .both {
        #expect(found == nil, "byte \(index)")
      } else {
        #expect(found?.walk.payloads == fixture.payloads, "byte \(index)")
        #expect(found?.repair.rewrites.first?.range == 0..<SegmentHeader.byteCount)
      }
    }
  }

  @Test("different damage in the two copies of one frame is refused, of two frames is mended")
  func twoPlaces() throws {
    let fixture = SegmentFixture(batches: sample(6, byteCount: 50).map { [$0] })
    for frame in 0..<5 {
      var (a, b) = (fixture.bytes, fixture.bytes)
      a[fixture.positions[frame].byteOffset + 30] ^= 1
      b[fixture.positions[frame + 1].byteOffset + 30] ^= 1
      let (walk, repair) = try recover(a, b)
      #expect(walk.payloads == fixture.payloads)
      #expect(repair.rewrites.map(\.copy) == [.a, .b])
      b[fixture.positions[frame].byteOffset + 60] ^= 4
      let error = #expect(throws: JournalDefect.self) { _ = try recover(a, b) }
      #expect(error?.kind == .frameLost && error?.sequence == UInt64(frame) + 1)
      #expect(error?.byteOffset == fixture.positions[frame].byteOffset)
    }
  }
}
