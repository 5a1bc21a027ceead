import Hashing
import JournalFormat

private let nonce = SHA256.hash("lethe fuzz nonce".utf8)

/// A segment of three batches.
private func segment(firstSequence: UInt64 = 1) -> [UInt8] {
  var header = SegmentHeader(beginning: nonce)
  if firstSequence != 1 {
    header = SegmentHeader(
      firstSequence: firstSequence, chain: SHA256.hash([1]), nonce: nonce)
  }
  var (bytes, chain, sequence) = (header.encoded, header.chain, firstSequence)
  for batch: [[UInt8]] in [[[1, 2, 3]], [[], Array(repeating: 7, count: 40), [9]], [[4]]] {
    let written = SegmentFrame.encode(
      batch: batch, firstSequence: sequence, epoch: 1, after: chain)
    bytes += written.bytes
    chain = written.chain
    sequence += UInt64(batch.count)
  }
  return bytes + Array(repeating: 0, count: 64)
}

/// What an input of `journal-segment` begins with: how copy B differs from copy A.
///
/// ```
/// u8 mode · u8 count · count × (u16 offset, u8 xor) · copy A
/// ```
private struct PairRecipe {
  private static let noA: UInt8 = 1
  private static let noB: UInt8 = 2
  private static let isSealed: UInt8 = 4
  private static let isLive: UInt8 = 8
  private static let isCut: UInt8 = 16

  var a: [UInt8]?
  var b: [UInt8]?
  let isLive: Bool
  let acknowledged: UInt64

  init(_ bytes: [UInt8]) {
    var source = ByteSource(bytes)
    let mode = source.byte()
    acknowledged = UInt64(mode >> 5)
    isLive = mode & Self.isLive != 0
    let changes = (0..<source.byte()).map { _ in (source.short(), source.byte()) }
    var copy = Array(source.rest)
    // A checksum that a fuzzer cannot guess hides everything behind it.
    if mode & Self.isSealed != 0 { seal(&copy) }
    a = mode & Self.noA == 0 ? copy : nil
    if mode & Self.isCut != 0, let first = changes.first { copy = Array(copy.prefix(first.0)) }
    for (offset, mask) in changes where offset < copy.count { copy[offset] ^= mask }
    b = mode & Self.noB == 0 ? copy : nil
  }
}

func journalSegmentSeeds() -> [[UInt8]] {
  let plain = segment()
  return [
    [0, 0] + plain, [1, 0] + plain, [2, 0] + plain, [4, 0] + plain, [12, 0] + plain,
    [0, 1, 100, 0, 1] + plain, [4, 2, 5, 0, 255, 140, 0, 1] + plain, [16, 1, 200, 0, 0] + plain,
    [4, 0] + segment(firstSequence: 9),
  ]
}

func runJournalSegment(_ bytes: [UInt8]) {
  let pair = PairRecipe(bytes)
  // A segment's name tells its first sequence, so it is one that a name can have.
  let first = (pair.a ?? pair.b).flatMap(announcedSequence) ?? 1
  guard JournalListing(names: [JournalName.segment(first)]).segments == [first] else { return }
  for copy in [pair.a, pair.b] {
    if let copy { _ = SegmentScan(copy, firstSequence: first) }
  }
  let twin = TwinSegment(a: pair.a, b: pair.b, firstSequence: first)
  var walk = JournalWalk(
    after: nil, acknowledgedThrough: pair.acknowledged, isLive: pair.isLive)
  guard let repair = try? walk.take(twin, following: nil) else { return }
  guard !pair.isLive else { return }

  // Repaired, both copies tell the same and need nothing more.
  let good = repair.goodBytes(of: twin)
  var again = JournalWalk(after: nil, acknowledgedThrough: pair.acknowledged)
  let second = try? again.take(
    TwinSegment(a: good, b: good, firstSequence: first), following: nil)
  demand(second?.isEmpty == true, "a repaired segment that needs repair")
  demand(again.payloads == walk.payloads && again.end == walk.end, "a repair that changes payloads")

  // Walking on from any frame finds the rest.
  if let end = walk.end, end.sequence >= first {
    var rest = JournalWalk(after: end, acknowledgedThrough: pair.acknowledged)
    let found = try? rest.take(
      TwinSegment(a: good, b: good, firstSequence: first), following: nil)
    demand(found != nil && rest.payloads.isEmpty, "a walk behind the last frame")
  }
}

/// The first sequence in a segment's header, whether or not its checksum holds.
private func announcedSequence(_ bytes: [UInt8]) -> UInt64? {
  guard bytes.count >= SegmentHeader.byteCount else { return nil }
  return bytes[12..<20].reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

/// Puts right every checksum and chain value that the other bytes ask for.
private func seal(_ bytes: inout [UInt8]) {
  guard bytes.count >= SegmentHeader.byteCount else { return }
  let crc = SegmentHeader.byteCount - 4
  write(CRC32C.checksum(bytes[..<crc]), into: &bytes, at: crc)
  var chain = Digest(bytes[20..<52])!
  var start = SegmentHeader.byteCount
  while bytes.count - start >= SegmentFrame.overheadByteCount {
    let length = bytes[start + 4..<start + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    let end = start + SegmentFrame.overheadByteCount + length
    guard end <= bytes.count, bytes[start..<start + 4].elementsEqual(SegmentFrame.magic) else {
      return
    }
    let checked = end - Digest.byteCount - 4
    write(CRC32C.checksum(bytes[start..<checked]), into: &bytes, at: checked)
    chain = SHA256.hash(chain.bytes + bytes[start..<end - Digest.byteCount])
    bytes.replaceSubrange(end - Digest.byteCount..<end, with: chain.bytes)
    start = end
  }
}

private func write(_ checksum: UInt32, into bytes: inout [UInt8], at offset: Int) {
  for place in 0..<4 { bytes[offset + place] = UInt8(truncatingIfNeeded: checksum >> (8 * place)) }
}

// MARK: - Names and snapshots

/// Names of a journal's directory, one a line.
func journalNameSeeds() -> [[UInt8]] {
  let names = [
    JournalName.segment(1), JournalName.segment(400), JournalName.snapshot(399),
    JournalName.segment(.max), JournalName.snapshot(.max), JournalName.reserve,
    JournalName.segment(2) + JournalName.brokenSuffix,
    JournalName.snapshot(2) + JournalName.partialSuffix, "notes.txt",
  ]
  return [Array(names.joined(separator: "\n").utf8), Array(names[0].utf8)]
}

func runJournalNames(_ bytes: [UInt8]) {
  let names = bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
  let listing = JournalListing(names: names)
  for first in listing.segments {
    demand(names.contains(JournalName.segment(first)), "a segment of no name")
  }
  for sequence in [0] + listing.snapshots {
    let base = JournalWalk.Base(sequence: sequence, chain: nonce)
    _ = JournalWalk.segments(listing.segments, after: base)
    demand(
      sequence == 0 || names.contains(JournalName.snapshot(sequence)), "a snapshot of no name")
  }
}

/// The last byte tells whether the file's digest is put right first.
func snapshotFileSeeds() -> [[UInt8]] {
  let file = SnapshotFile.encode([1, 2, 3, 4], through: 5, chain: nonce).file
  let empty = SnapshotFile.encode([], through: 1, chain: nonce).file
  return [file + [0], file + [1], empty + [1]]
}

func runSnapshotFile(_ bytes: [UInt8]) {
  var file = Array(bytes.dropLast())
  if bytes.last == 1, file.count >= Digest.byteCount {
    let end = file.count - Digest.byteCount
    file.replaceSubrange(end..., with: SHA256.hash(file[..<end]).bytes)
  }
  guard file.count >= SnapshotFile.headerByteCount else { return }
  let name = file[12..<20].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  guard let snapshot = SnapshotFile(file, named: name) else { return }
  let written = SnapshotFile.encode(
    snapshot.bytes, through: snapshot.sequence, chain: snapshot.chain)
  demand(written.file == file && written.digest == snapshot.digest, "a snapshot written otherwise")
}
