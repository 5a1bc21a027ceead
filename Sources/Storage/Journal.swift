import Hashing
import JournalFormat
import SystemIO

/// The append-only pair of directories behind a run's state.
///
/// `append` returns only when the payloads are on stable storage twice. Copy A is synced before a
/// byte goes to copy B, so a crash leaves at most one torn copy and recovery can tell what had been
/// acknowledged. After its first failure a journal refuses further use, as the kernel may have
/// dropped pages that it could not write and would report success for bytes that are gone; the
/// process ends instead.
///
/// One thread at a time uses a journal; `writeSnapshot` and `retire` may run beside it.
package final class Journal {
  /// Spare space is made ready in steps of so many bytes.
  package static let chunkByteCount = 1 << 20

  let pair: JournalPair
  private var files: [Segment]
  private let nonce: Digest
  private var failure: SystemCallError?

  /// Sequence of the last payload.
  package private(set) var sequence: UInt64
  /// The chain value after it.
  package private(set) var chain: Digest
  /// First sequence of the segment being written.
  package private(set) var segment: UInt64
  /// Where the next frame goes in it.
  private var byteOffset: Int
  /// Syncs of frames so far: two a batch.
  package private(set) var syncCount = 0

  /// One copy's file of the segment being written.
  struct Segment {
    let file: OwnedDescriptor
    let path: String
    /// Frames and the zeros made ready behind them.
    var byteCount: Int
  }

  init(
    _ pair: JournalPair, nonce: Digest, end: JournalWalk.Base, segment: UInt64, byteOffset: Int
  ) throws(SystemCallError) {
    self.pair = pair
    self.nonce = nonce
    self.segment = segment
    self.byteOffset = byteOffset
    sequence = end.sequence
    chain = end.chain
    files = try Self.open(pair, segment: segment)
  }

  private static func open(_ pair: JournalPair, segment: UInt64) throws(SystemCallError)
    -> [Segment]
  {
    var files: [Segment] = []
    for copy in JournalCopy.allCases {
      let path = pair.path(copy, JournalName.segment(segment))
      let file = try OwnedDescriptor.openForUpdating(path)
      files.append(Segment(file: file, path: path, byteCount: try file.byteCount(path: path)))
    }
    return files
  }

  /// Adds a batch of payloads, with one sync a copy for all of them.
  ///
  /// - Parameter epoch: Term of the coordinator that writes.
  /// - Throws: After any error the journal is of no more use, and throws the same one for ever.
  package func append(_ payloads: [[UInt8]], epoch: UInt64) throws(SystemCallError) {
    guard !payloads.isEmpty else { return }
    try failing { () throws(SystemCallError) in
      let batch = SegmentFrame.encode(
        batch: payloads, firstSequence: sequence + 1, epoch: epoch, after: chain)
      let end = byteOffset + batch.bytes.count
      for copy in JournalCopy.allCases { try makeRoom(in: copy, to: end) }
      for segment in files {
        try segment.file.write(batch.bytes, at: byteOffset, path: segment.path)
        try segment.file.synchronize(path: segment.path)
        syncCount += 1
      }
      byteOffset = end
      sequence += UInt64(payloads.count)
      chain = batch.chain
    }
  }

  /// Begins a new segment behind the last payload, so that older ones can be retired.
  ///
  /// A full disk leaves everything as it was and the journal usable; any other error ends its use.
  package func rotate() throws(SystemCallError) {
    if let failure { throw failure }
    guard segment != sequence + 1 else { return }
    let header = SegmentHeader(firstSequence: sequence + 1, chain: chain, nonce: nonce)
    do throws(SystemCallError) {
      try pair.prepareSegment(header)
    } catch {
      if !error.isDiskFull { failure = error }
      throw error
    }
    try failing { () throws(SystemCallError) in
      try pair.placeSegment(header)
      files = try Self.open(pair, segment: header.firstSequence)
      segment = header.firstSequence
      byteOffset = SegmentHeader.byteCount
    }
  }

  /// Remembers the first error and refuses from then on.
  private func failing(_ body: () throws(SystemCallError) -> Void) throws(SystemCallError) {
    if let failure { throw failure }
    do throws(SystemCallError) {
      try body()
    } catch {
      failure = error
      throw error
    }
  }

  // MARK: - Space

  /// Whether the space kept for deletions is in use or was never to be had: a caller should refuse
  /// all other work. It ends when `replenish` finds room again.
  package var isOnReserve: Bool {
    JournalCopy.allCases.contains { !FileSystem.exists(pair.path($0, JournalName.reserve)) }
  }

  /// Keeps space aside again if the disks have it.
  @discardableResult
  package func replenish() throws(SystemCallError) -> Bool {
    for copy in JournalCopy.allCases { try pair.keepReserve(copy) }
    return !isOnReserve
  }

  /// Extends a copy's zeros; gives up the reserve rather than refuse.
  private func makeRoom(in copy: JournalCopy, to end: Int) throws(SystemCallError) {
    let index = copy.rawValue
    guard files[index].byteCount < end else { return }
    let roomy = (end + Self.chunkByteCount - 1) / Self.chunkByteCount * Self.chunkByteCount
    // With a full disk even a whole step may be too much; a block must do.
    let tight = (end + 4095) / 4096 * 4096
    if try extend(index, to: roomy) != nil {
      try pair.giveUpReserve(copy)
      if try extend(index, to: roomy) != nil, let error = try extend(index, to: tight) {
        throw error
      }
    }
    try files[index].file.synchronize(path: files[index].path)
  }

  /// - Returns: What the kernel said if the disk has no room; what was written till then counts.
  private func extend(_ index: Int, to end: Int) throws(SystemCallError) -> SystemCallError? {
    var offset = files[index].byteCount
    defer { files[index].byteCount = offset }
    do throws(SystemCallError) {
      try files[index].file.writeZeros(from: &offset, to: end, path: files[index].path)
      return nil
    } catch {
      guard error.isDiskFull else { throw error }
      return error
    }
  }
}

extension JournalPair {
  static let reserveByteCount = 1 << 20

  /// Writes a segment's header and zeros aside in both copies.
  func prepareSegment(_ header: SegmentHeader) throws(SystemCallError) {
    do throws(SystemCallError) {
      for copy in JournalCopy.allCases {
        let name = JournalName.segment(header.firstSequence)
        try writeAside(copy, name, header.encoded, zerosTo: Journal.chunkByteCount)
      }
    } catch {
      for copy in JournalCopy.allCases {
        let name = JournalName.segment(header.firstSequence)
        try FileSystem.remove(path(copy, name + JournalName.partialSuffix))
      }
      throw error
    }
  }

  /// Gives a prepared segment its name, in one copy after the other.
  func placeSegment(_ header: SegmentHeader) throws(SystemCallError) {
    for copy in JournalCopy.allCases {
      try place(copy, JournalName.segment(header.firstSequence))
    }
  }

  /// Writes a file under a name that says it is not whole yet, and syncs it.
  func writeAside(_ copy: JournalCopy, _ name: String, _ bytes: [UInt8], zerosTo end: Int)
    throws(SystemCallError)
  {
    let partial = path(copy, name + JournalName.partialSuffix)
    let file = try OwnedDescriptor.create(partial)
    try file.write(bytes, at: 0, path: partial)
    var offset = bytes.count
    try file.writeZeros(from: &offset, to: end, path: partial)
    try file.synchronize(path: partial)
  }

  func place(_ copy: JournalCopy, _ name: String) throws(SystemCallError) {
    try FileSystem.move(path(copy, name + JournalName.partialSuffix), to: path(copy, name))
    try FileSystem.synchronizeDirectory(directory(copy))
  }

  /// Makes the reserve if it is missing and there is twice its room, so that it does not flap.
  func keepReserve(_ copy: JournalCopy) throws(SystemCallError) {
    let name = JournalName.reserve
    guard !FileSystem.exists(path(copy, name)),
      try FileSystem.freeByteCount(directory(copy)) >= UInt64(2 * Self.reserveByteCount)
    else { return }
    do throws(SystemCallError) {
      try writeAside(copy, name, [], zerosTo: Self.reserveByteCount)
      try place(copy, name)
    } catch {
      try FileSystem.remove(path(copy, name + JournalName.partialSuffix))
      if !error.isDiskFull { throw error }
    }
  }

  /// Frees the reserve; synced, so that the blocks can be had again at once.
  func giveUpReserve(_ copy: JournalCopy) throws(SystemCallError) {
    try FileSystem.remove(path(copy, JournalName.reserve))
    try FileSystem.synchronizeDirectory(directory(copy))
  }
}
