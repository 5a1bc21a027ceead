import Hashing
import JournalFormat
import Testing

@Suite("Journal: two copies") struct PairTests {
  static let fixture = SegmentFixture(batches: sample(8, byteCount: 90, seed: 5).map { [$0] })

  @Test("a copy that lags by any number of frames is brought up", arguments: 0...8)
  func stale(kept: Int) throws {
    let old = Self.fixture.cleared(from: Self.fixture.positions[kept])
    for (a, b, copy) in [(Self.fixture.bytes, old, JournalCopy.b), (old, Self.fixture.bytes, .a)] {
      let (walk, repair) = try recover(a, b)
      #expect(walk.payloads == Self.fixture.payloads)
      #expect(repair.rewrites.map(\.copy) == (kept == 8 ? [] : [copy]))
      #expect(repair.rewrites.first?.sequences == (kept == 8 ? nil : UInt64(kept) + 1..<9))
    }
  }

  @Test("a missing copy is made anew from the other")
  func missing() throws {
    #expect(try recover(nil, Self.fixture.bytes).repair.missing == .a)
    let (walk, repair) = try recover(Self.fixture.bytes, nil)
    #expect(walk.payloads == Self.fixture.payloads && repair.missing == .b)
    #expect(throws: JournalDefect.self) { _ = try recover(nil, nil) }
    #expect(throws: JournalDefect.self) { _ = try recover([], []) }
  }

  @Test("copies that went different ways are refused", arguments: 0..<8)
  func diverged(from frame: Int) {
    var payloads = Self.fixture.payloads
    payloads[frame][0] ^= 1
    let other = SegmentFixture(batches: payloads.map { [$0] })
    let error = #expect(throws: JournalDefect.self) {
      _ = try recover(Self.fixture.bytes, other.bytes)
    }
    #expect(error?.kind == .diverged && error?.sequence == UInt64(frame) + 1)
  }

  @Test("copies of two journals are no pair")
  func nonces() {
    let other = SegmentFixture(batches: Self.fixture.payloads.map { [$0] }, nonce: 2)
    let error = #expect(throws: JournalDefect.self) {
      _ = try recover(Self.fixture.bytes, other.bytes)
    }
    #expect(error?.kind == .diverged)
  }

  @Test("a whole file under another segment's name is no copy of that segment")
  func misplaced() throws {
    let chain = Self.fixture.positions[8].chain
    let header = SegmentHeader(firstSequence: 9, chain: chain, nonce: SHA256.hash([1]))
    let bytes = header.encoded + [UInt8](repeating: 0, count: Self.fixture.bytes.count)
    var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
    _ = try walk.take(Self.fixture.twin, following: 9)
    let repair = try walk.take(
      TwinSegment(a: Self.fixture.bytes, b: bytes, firstSequence: 9), following: nil)
    #expect(repair.rewrites.map(\.copy) == [.a])
    let error = #expect(throws: JournalDefect.self) {
      _ = try recover(bytes, bytes)
    }
    #expect(error?.kind == .headerLost)
  }

  @Test("frames that are known to have been acknowledged are missed")
  func witness() throws {
    var walk = JournalWalk(after: nil, acknowledgedThrough: 9)
    let error = #expect(throws: JournalDefect.self) {
      _ = try walk.take(Self.fixture.twin, following: nil)
    }
    #expect(error?.kind == .framesMissing(through: 9))
    walk = JournalWalk(after: nil, acknowledgedThrough: 8)
    _ = try walk.take(Self.fixture.twin, following: nil)
  }

  @Test("a later segment must continue the one before it")
  func segments() throws {
    let last = Self.fixture.positions[8]
    func next(_ chain: Digest, _ nonce: Digest = SHA256.hash([1])) -> TwinSegment {
      let header = SegmentHeader(firstSequence: 9, chain: chain, nonce: nonce)
      let frame = SegmentFrame.encode(batch: [[7]], firstSequence: 9, epoch: 4, after: chain)
      let bytes = header.encoded + frame.bytes
      return TwinSegment(a: bytes, b: bytes, firstSequence: 9)
    }
    var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
    _ = try walk.take(Self.fixture.twin, following: 9)
    let start = walk
    _ = try walk.take(next(last.chain), following: nil)
    #expect(walk.payloads == Self.fixture.payloads + [[7]] && walk.epochs.last == 4)
    #expect(throws: JournalDefect.self, "another chain") {
      var walk = start
      _ = try walk.take(next(SHA256.hash([0])), following: nil)
    }
    #expect(throws: JournalDefect.self, "another journal") {
      var walk = start
      _ = try walk.take(next(last.chain, SHA256.hash([2])), following: nil)
    }
    #expect(throws: JournalDefect.self, "the next begins later than this one ends") {
      var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
      _ = try walk.take(Self.fixture.twin, following: 10)
    }
    #expect(throws: JournalDefect.self, "the next begins within this one") {
      var walk = JournalWalk(after: nil, acknowledgedThrough: 0)
      _ = try walk.take(Self.fixture.twin, following: 5)
    }
  }

  @Test("frames behind a snapshot must continue its chain")
  func base() throws {
    let position = Self.fixture.positions[5]
    let base = JournalWalk.Base(sequence: 5, chain: position.chain)
    var walk = JournalWalk(after: base, acknowledgedThrough: 0)
    _ = try walk.take(Self.fixture.twin, following: nil)
    #expect(walk.payloads == Array(Self.fixture.payloads[5...]))
    walk = JournalWalk(
      after: .init(sequence: 5, chain: SHA256.hash([])), acknowledgedThrough: 0)
    let error = #expect(throws: JournalDefect.self) {
      _ = try walk.take(Self.fixture.twin, following: nil)
    }
    #expect(error?.kind == .chainBroken)
  }

  @Test("beside a live writer an unfinished frame in both copies is the end")
  func live() throws {
    let cut = Self.fixture.positions[7].byteOffset + 50
    let torn = Self.fixture.bytes[..<cut] + [UInt8](repeating: 0, count: 500)
    var walk = JournalWalk(after: nil, acknowledgedThrough: 0, isLive: true)
    let twin = TwinSegment(a: Array(torn), b: Array(torn), firstSequence: 1)
    _ = try walk.take(twin, following: nil)
    #expect(walk.payloads == Array(Self.fixture.payloads[..<7]))
    #expect(throws: JournalDefect.self) { _ = try recover(twin.a, twin.b) }
  }

  @Test("one copy alone: every gap is found, and the frames behind it")
  func scan() {
    for frame in 0..<8 {
      for (place, because) in [(30, "payload"), (9, "sequence"), (130, "chain")] {
        var bytes = Self.fixture.bytes
        bytes[Self.fixture.positions[frame].byteOffset + place] ^= 1
        let scan = SegmentScan(bytes, firstSequence: 1)
        #expect(scan.gaps.map(\.sequence) == [UInt64(frame) + 1], "\(because) of \(frame)")
        #expect(scan.frames.count == (place == 130 ? 8 : 7))
      }
    }
    #expect(SegmentScan(Self.fixture.bytes, firstSequence: 1).gaps.isEmpty)
  }

  @Test("any bytes at all are judged without a trap", arguments: UInt64(0)..<300)
  func hostile(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var copies = [Self.fixture.bytes, Self.fixture.bytes]
    for _ in 0..<Int(random.next() % 30) {
      let copy = Int(random.next() % 2)
      let index = Int(random.next() % UInt64(copies[copy].count))
      // Lengths and sequences near the limits are the likeliest to overflow.
      let value = [0, 1, 0x7f, 0x80, 0xff][Int(random.next() % 5)]
      copies[copy][index] = UInt8(value)
      if random.next() % 40 == 0 { copies[copy] = Array(copies[copy][..<index]) }
      if copies[copy].isEmpty { copies[copy] = [0] }
    }
    if let found = try? recover(copies[0], copies[1]) {
      #expect(found.walk.payloads == Array(Self.fixture.payloads[..<found.walk.payloads.count]))
    }
    _ = SegmentScan(copies[0], firstSequence: 1)
    _ = SnapshotFile(copies[0], named: 1)
  }

  @Test("a snapshot of which any byte changed is none")
  func snapshot() throws {
    let (file, digest) = SnapshotFile.encode([1, 2, 3], through: 5, chain: SHA256.hash([]))
    let whole = try #require(SnapshotFile(file, named: 5))
    #expect(whole.bytes == [1, 2, 3] && whole.digest == digest && whole.sequence == 5)
    #expect(SnapshotFile(file, named: 6) == nil)
    for index in file.indices {
      var changed = file
      changed[index] ^= 1
      #expect(SnapshotFile(changed, named: 5) == nil)
      #expect(SnapshotFile(Array(file[..<index]), named: 5) == nil)
    }
    #expect(SnapshotFile(file + [0], named: 5) == nil)
  }
}
