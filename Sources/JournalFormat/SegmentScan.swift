import Hashing

/// One copy of a segment judged alone, past damage as well; what inspection and salvage look with.
package struct SegmentScan: Equatable, Sendable {
  /// Bytes that are no frame continuing what stands before them.
  package struct Gap: Equatable, Sendable {
    package var range: Range<Int>
    /// The sequence that was expected there.
    package var sequence: UInt64
  }

  package private(set) var header: SegmentHeader?
  package private(set) var frames: [SegmentFrame] = []
  package private(set) var gaps: [Gap] = []
  /// The chain value the last frame carries.
  package private(set) var chain: Digest?

  package init(_ copy: [UInt8], firstSequence: UInt64) {
    var position = TwinSegment.Position(
      byteOffset: min(SegmentHeader.byteCount, copy.count), sequence: firstSequence,
      chain: SegmentHeader.initialChain(nonce: SHA256.hash([])))
    var isTrusted = false
    if case .header(let header) = SegmentHeader.read(copy), header.firstSequence == firstSequence {
      self.header = header
      position.chain = header.chain
      isTrusted = true
    } else {
      gaps.append(Gap(range: 0..<position.byteOffset, sequence: firstSequence))
    }
    copy.withUnsafeBytes { bytes in
      while let frame = TwinSegment.frames(in: bytes, from: position.byteOffset).first(
        where: { $0.sequence >= position.sequence })
      {
        let stored = frame.storedChain(in: bytes)
        var next = stored
        if frame.range.lowerBound != position.byteOffset || frame.sequence != position.sequence {
          gaps.append(
            Gap(range: position.byteOffset..<frame.range.lowerBound, sequence: position.sequence))
        } else if isTrusted {
          // A frame whose content is whole may carry a rotted chain.
          next = frame.chain(in: bytes, after: position.chain)
          if next != stored {
            let end = frame.range.upperBound
            gaps.append(Gap(range: end - Digest.byteCount..<end, sequence: frame.sequence))
          }
        }
        frames.append(frame)
        chain = next
        isTrusted = true
        position = TwinSegment.Position(
          byteOffset: frame.range.upperBound, sequence: frame.sequence + 1, chain: next)
      }
    }
    if let range = TwinSegment.dirtyRange(copy, from: position.byteOffset) {
      gaps.append(Gap(range: range, sequence: position.sequence))
    }
  }
}
