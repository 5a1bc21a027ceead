import Hashing

/// Recovery: follows the chain through a journal's segments, and says what each copy lacks.
///
/// Segments are handed over one after the other, so memory holds one pair at a time. Nothing here
/// touches a file: repairs are values, to be done once the whole journal has been judged.
package struct JournalWalk: Sendable {
  /// A state that stands for all frames through its sequence.
  package struct Base: Equatable, Sendable {
    package var sequence: UInt64
    package var chain: Digest

    package init(sequence: UInt64, chain: Digest) {
      self.sequence = sequence
      self.chain = chain
    }
  }

  private let base: Base?
  private let ending: TwinSegment.Ending
  /// Payloads behind the base, or all.
  package private(set) var payloads: [[UInt8]] = []
  /// Terms of the coordinators that wrote `payloads`.
  package private(set) var epochs: [UInt64] = []
  /// What was found last: the last frame's sequence and chain, before any the base's.
  package private(set) var end: Base?
  package private(set) var nonce: Digest?
  /// What the segment taken last needs; after a defect, as far as the frames before it go.
  package private(set) var lastRepair: SegmentRepair?
  package private(set) var droppedByteCount = 0

  /// - Parameter acknowledgedThrough: A sequence known from elsewhere to have been acknowledged.
  package init(after base: Base?, acknowledgedThrough: UInt64, isLive: Bool = false) {
    self.base = base
    ending = TwinSegment.Ending(
      acknowledgedThrough: max(acknowledgedThrough, base?.sequence ?? 0), isLive: isLive)
  }

  /// The segment to begin with: the last that begins at or before the frame behind the base.
  package static func segments(_ firsts: [UInt64], after base: Base?) -> ArraySlice<UInt64>? {
    let next = (base?.sequence ?? 0) + 1
    guard let index = firsts.lastIndex(where: { $0 <= next }) else { return nil }
    return firsts[index...]
  }

  /// Takes the next segment; `following` is the first sequence of the one behind it.
  ///
  /// - Parameter start: Where to begin instead of at the header; for salvage.
  package mutating func take(
    _ twin: TwinSegment, following: UInt64?, from start: TwinSegment.Position? = nil
  ) throws(JournalDefect) -> SegmentRepair {
    var repair = SegmentRepair(segment: twin.firstSequence)
    defer { lastRepair = repair }
    var position: TwinSegment.Position
    if let start {
      position = start
    } else {
      let header = try header(of: twin, repair: &repair)
      position = TwinSegment.Position(
        byteOffset: SegmentHeader.byteCount, sequence: header.firstSequence, chain: header.chain)
      try follow(header, of: twin, at: position)
      nonce = header.nonce
    }
    defer {
      end = Base(sequence: position.sequence - 1, chain: position.chain)
      repair.finish(twin, at: position)
    }
    let ending = TwinSegment.Ending(
      acknowledgedThrough: following.map { $0 - 1 } ?? ending.acknowledgedThrough,
      isLive: ending.isLive)
    walk: while true {
      if let base, position.sequence == base.sequence + 1, position.chain != base.chain {
        throw twin.defect(.chainBroken, at: position)
      }
      switch try twin.step(at: position, ending: ending) {
      case .frame(let frame, let source, let damaged, let next):
        // The next segment begins with this sequence as well.
        if frame.sequence == following { throw twin.defect(.diverged, at: position) }
        if let damaged { repair.rewrite(frame, in: damaged) }
        if frame.sequence > base?.sequence ?? 0, let bytes = twin.bytes(of: source) {
          payloads.append(Array(bytes[frame.payload]))
          epochs.append(frame.epoch)
        }
        position = next
      case .end(let drop):
        repair.drop = drop
        break walk
      }
    }
    droppedByteCount += repair.drop?.range.count ?? 0
    repair.finish(twin, at: position)
    return repair
  }

  /// The header both copies agree on, or the one that is left.
  private func header(of twin: TwinSegment, repair: inout SegmentRepair) throws(JournalDefect)
    -> SegmentHeader
  {
    func defect(_ kind: JournalDefect.Kind) -> JournalDefect {
      JournalDefect(
        kind, segment: twin.firstSequence, sequence: twin.firstSequence, byteOffset: 0)
    }
    let readings = JournalCopy.allCases.map { copy in
      SegmentHeader.read(twin.bytes(of: copy) ?? [])
    }
    var found: [(copy: JournalCopy, header: SegmentHeader)] = []
    for (copy, reading) in zip(JournalCopy.allCases, readings) {
      // A whole header under another segment's name is a misplaced file.
      if case .header(let header) = reading, header.firstSequence == twin.firstSequence {
        found.append((copy, header))
      }
    }
    guard let first = found.first else {
      for case .unsupported(let version) in readings {
        throw defect(.unsupported(version: version))
      }
      throw defect(.headerLost)
    }
    if found.count == 2 {
      guard first.header == found[1].header else { throw defect(.diverged) }
    } else {
      repair.rewriteHeader(in: first.copy.other)
    }
    return first.header
  }

  private func follow(
    _ header: SegmentHeader, of twin: TwinSegment, at position: TwinSegment.Position
  ) throws(JournalDefect) {
    if let nonce, nonce != header.nonce { throw twin.defect(.chainBroken, at: position) }
    if let end {
      guard end.sequence + 1 == header.firstSequence, end.chain == header.chain else {
        throw twin.defect(.chainBroken, at: position)
      }
    } else if header.firstSequence == 1 {
      guard header.chain == SegmentHeader.initialChain(nonce: header.nonce) else {
        throw twin.defect(.chainBroken, at: position)
      }
    }
  }
}

/// What one segment's copies lack, as ranges to be taken from the other copy.
package struct SegmentRepair: Equatable, Sendable {
  package struct Rewrite: Equatable, Sendable {
    /// The copy to be written; the bytes come from the other.
    package var copy: JournalCopy
    package var range: Range<Int>
    /// Sequences of the frames in it; empty for a header.
    package var sequences: Range<UInt64>
  }

  package let segment: UInt64
  package private(set) var rewrites: [Rewrite] = []
  /// A copy whose file is not there at all.
  package private(set) var missing: JournalCopy?
  package internal(set) var drop: TwinSegment.Drop?
  /// Bytes up to the end of the last frame.
  package private(set) var byteCount = 0

  init(segment: UInt64) {
    self.segment = segment
  }

  package var isEmpty: Bool { rewrites.isEmpty && missing == nil && drop == nil }

  mutating func rewriteHeader(in copy: JournalCopy) {
    rewrites.append(
      Rewrite(copy: copy, range: 0..<SegmentHeader.byteCount, sequences: segment..<segment))
  }

  mutating func rewrite(_ frame: SegmentFrame, in copy: JournalCopy) {
    // Neighbours become one write.
    if let last = rewrites.lastIndex(where: { $0.copy == copy }),
      rewrites[last].range.upperBound == frame.range.lowerBound
    {
      rewrites[last].range = rewrites[last].range.lowerBound..<frame.range.upperBound
      rewrites[last].sequences = rewrites[last].sequences.lowerBound..<frame.sequence + 1
    } else {
      rewrites.append(
        Rewrite(
          copy: copy, range: frame.range, sequences: frame.sequence..<frame.sequence + 1))
    }
  }

  mutating func finish(_ twin: TwinSegment, at position: TwinSegment.Position) {
    byteCount = position.byteOffset
    missing = twin.a == nil ? .a : twin.b == nil ? .b : nil
    // A missing file is made anew as a whole.
    if let missing { rewrites.removeAll { $0.copy == missing } }
  }

  /// The segment's header and frames from whichever copy has them.
  package func goodBytes(of twin: TwinSegment) -> [UInt8] {
    let source: JournalCopy = missing == .a ? .b : .a
    let other = twin.bytes(of: source.other) ?? []
    var bytes = Array((twin.bytes(of: source) ?? []).prefix(byteCount))
    bytes += repeatElement(0, count: byteCount - bytes.count)
    for rewrite in rewrites where rewrite.copy == source {
      bytes.replaceSubrange(rewrite.range, with: other[rewrite.range])
    }
    return bytes
  }
}
