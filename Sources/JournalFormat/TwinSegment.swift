import Hashing

/// The two copies of one segment's bytes, judged together.
///
/// Copy A is always durable before a byte goes to copy B, so a crash leaves at most one torn tail:
/// while A is torn, B is still zeros from there on. That is what makes it safe to say of a frame
/// that is valid in neither copy whether it had been acknowledged.
package struct TwinSegment: Sendable {
  /// `nil` where the file is missing.
  package var a: [UInt8]?
  package var b: [UInt8]?
  package let firstSequence: UInt64

  package init(a: [UInt8]?, b: [UInt8]?, firstSequence: UInt64) {
    self.a = a
    self.b = b
    self.firstSequence = firstSequence
  }

  /// Where a walk stands.
  package struct Position: Equatable, Sendable {
    package var byteOffset: Int
    /// Sequence of the frame expected here.
    package var sequence: UInt64
    /// The chain value before it.
    package var chain: Digest

    package init(byteOffset: Int, sequence: UInt64, chain: Digest) {
      self.byteOffset = byteOffset
      self.sequence = sequence
      self.chain = chain
    }
  }

  /// How the end of the frames is judged.
  package struct Ending: Equatable, Sendable {
    /// A sequence known to have been acknowledged: frames through it must be there.
    package var acknowledgedThrough: UInt64 = 0
    /// Another process may be writing, so that a frame may be unfinished in both copies.
    package var isLive = false

    package init(acknowledgedThrough: UInt64 = 0, isLive: Bool = false) {
      self.acknowledgedThrough = acknowledgedThrough
      self.isLive = isLive
    }
  }

  /// Bytes of one copy that were never acknowledged and are to go.
  package struct Drop: Equatable, Sendable {
    package var copy: JournalCopy
    package var range: Range<Int>
  }

  package enum Step: Equatable, Sendable {
    /// A frame valid in `source`; `damaged` names the copy that lacks it, if one does.
    case frame(SegmentFrame, source: JournalCopy, damaged: JournalCopy?, next: Position)
    /// No frame follows.
    case end(dropping: Drop?)
  }

  package func bytes(of copy: JournalCopy) -> [UInt8]? { copy == .a ? a : b }

  /// Judges the frame expected at one position; looks no further than it must.
  package func step(at position: Position, ending: Ending) throws(JournalDefect) -> Step {
    let inA = Self.judge(a, at: position)
    if let frame = inA.frame, let next = inA.next, agrees(on: frame.range) {
      return .frame(frame, source: .a, damaged: nil, next: next)
    }
    let inB = Self.judge(b, at: position)
    if let one = inA.frame, let two = inB.frame, inA.next ?? inB.next != nil,
      !haveSameContent(one, two)
    {
      throw defect(.diverged, at: position)
    }
    if let frame = inA.frame, let next = inA.next {
      return .frame(frame, source: .a, damaged: .b, next: next)
    }
    if let frame = inB.frame, let next = inB.next {
      return .frame(frame, source: .b, damaged: .a, next: next)
    }
    let dropped = try end(at: position, ending)
    guard position.sequence > ending.acknowledgedThrough else {
      throw defect(.framesMissing(through: ending.acknowledgedThrough), at: position)
    }
    return .end(dropping: dropped)
  }

  // MARK: - One frame

  private struct Judgement {
    /// A frame of the expected sequence whose checksum holds.
    var frame: SegmentFrame?
    /// What stands behind it, if it also continues the chain.
    var next: Position?
  }

  private static func judge(_ copy: [UInt8]?, at position: Position) -> Judgement {
    guard let copy else { return Judgement() }
    return copy.withUnsafeBytes { bytes in
      guard let frame = SegmentFrame.read(bytes, at: position.byteOffset),
        frame.sequence == position.sequence
      else { return Judgement() }
      let chain = frame.chain(in: bytes, after: position.chain)
      guard chain == frame.storedChain(in: bytes) else { return Judgement(frame: frame) }
      return Judgement(
        frame: frame,
        next: Position(
          byteOffset: frame.range.upperBound, sequence: position.sequence + 1, chain: chain))
    }
  }

  private func agrees(on range: Range<Int>) -> Bool {
    guard let a, let b, range.upperBound <= a.count, range.upperBound <= b.count else {
      return false
    }
    return a.withUnsafeBytes { a in
      b.withUnsafeBytes { b in a[range].elementsEqual(b[range]) }
    }
  }

  /// Whether two checksummed frames differ at most in their chain, as a rotted one may.
  private func haveSameContent(_ inA: SegmentFrame, _ inB: SegmentFrame) -> Bool {
    guard let a, let b, inA.range == inB.range else { return false }
    let range = inA.range.lowerBound..<inA.range.upperBound - Digest.byteCount
    return a[range].elementsEqual(b[range])
  }

  // MARK: - The end

  /// What is to be dropped where no frame is valid in either copy.
  func end(at position: Position, _ ending: Ending) throws(JournalDefect) -> Drop? {
    let inA = Self.dirtyRange(a, from: position.byteOffset)
    let inB = Self.dirtyRange(b, from: position.byteOffset)
    guard let range = inA ?? inB else { return nil }
    guard !(inA != nil && follows(a, position)), !(inB != nil && follows(b, position)) else {
      throw defect(.frameLost, at: position)
    }
    if ending.isLive { return nil }
    // While one copy was written the other was zeros. A copy that is missing or cut off is no
    // witness of that, and what is not zeros in both had been acknowledged once.
    let copy = inA == nil ? JournalCopy.b : .a
    guard inA == nil || inB == nil, let witness = bytes(of: copy.other),
      witness.count >= range.upperBound
    else { throw defect(.frameLost, at: position) }
    return Drop(copy: copy, range: range)
  }

  /// Whether a whole frame lies behind a position that cannot be of the batch in flight there.
  private func follows(_ copy: [UInt8]?, _ position: Position) -> Bool {
    guard let copy else { return false }
    return copy.withUnsafeBytes { bytes in
      Self.frames(in: bytes, from: position.byteOffset).contains {
        $0.batchStart > position.sequence
      }
    }
  }

  /// Where in a copy the frame lies that follows a base and proves it by its chain.
  package func offset(continuing base: JournalWalk.Base, in copy: JournalCopy) -> Int? {
    bytes(of: copy)?.withUnsafeBytes { bytes in
      Self.frames(in: bytes, from: 0).first { frame in
        frame.sequence == base.sequence + 1
          && frame.chain(in: bytes, after: base.chain) == frame.storedChain(in: bytes)
      }?.range.lowerBound
    }
  }

  /// Checksummed frames that begin at any byte from an offset on, lazily and none inside another.
  package static func frames(in bytes: UnsafeRawBufferPointer, from start: Int)
    -> some Sequence<SegmentFrame>
  {
    sequence(state: start) { offset -> SegmentFrame? in
      while bytes.count - offset >= SegmentFrame.overheadByteCount {
        if bytes[offset] == SegmentFrame.magic[0],
          let frame = SegmentFrame.read(bytes, at: offset)
        {
          offset = frame.range.upperBound
          return frame
        }
        offset += 1
      }
      return nil
    }
  }

  /// From an offset to the last byte that is not zero.
  static func dirtyRange(_ copy: [UInt8]?, from start: Int) -> Range<Int>? {
    guard let copy, start < copy.count else { return nil }
    return copy.withUnsafeBytes { bytes in
      var end = bytes.count
      while end - start >= 8,
        bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0
      { end -= 8 }
      while end > start, bytes[end - 1] == 0 { end -= 1 }
      return end > start ? start..<end : nil
    }
  }

  func defect(_ kind: JournalDefect.Kind, at position: Position) -> JournalDefect {
    JournalDefect(
      kind, segment: firstSequence, sequence: position.sequence, byteOffset: position.byteOffset)
  }
}
