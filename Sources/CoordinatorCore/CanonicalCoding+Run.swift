import ByteCoding
import Hashing
import Ledger
import Unlearning

extension CanonicalReader {
  /// A duration, or a moment that a ledger entry can name.
  package mutating func readMilliseconds() throws(DecodingFailure) -> Milliseconds {
    let time = Milliseconds(bitPattern: try readInteger())
    guard LedgerEntry.times.contains(time) else { throw .invalid(what: "time", atByte: 0) }
    return time
  }

  /// Reads elements that were written in ascending order of a key.
  ///
  /// Any other order, or a key that stands twice, would be a second encoding of the same value.
  mutating func readAscending<Element, Key: Comparable>(
    by key: (Element) -> Key,
    each: (inout CanonicalReader) throws(DecodingFailure) -> Element
  ) throws(DecodingFailure) -> [Element] {
    let elements = try readArray(each: each)
    for (element, next) in zip(elements, elements.dropFirst()) where key(element) >= key(next) {
      throw .invalid(what: "order", atByte: 0)
    }
    return elements
  }

  mutating func readSliceState() throws(DecodingFailure) -> SliceState {
    SliceState(recordCount: Int(try readInteger(UInt32.self)), digest: try readDigest())
  }

  mutating func readSummaries() throws(DecodingFailure) -> [SliceSummary] {
    try readArray { (reader) throws(DecodingFailure) in
      SliceSummary(
        location: try reader.readLocation(), contents: try reader.readSliceState())
    }
  }

  mutating func readCommittedBlock() throws(DecodingFailure) -> CommittedBlock {
    CommittedBlock(
      key: BlockKey(try readDigest()), slot: try readSlot(), artifact: try readDigest(),
      byteCount: try readInteger(), worker: try readString(), work: try readWork(),
      at: try readMilliseconds())
  }

  /// A deletion's entry but for the slices, which a snapshot has in another place.
  mutating func readDeletionRequest() throws(DecodingFailure) -> AcceptedDeletion {
    AcceptedDeletion(
      number: try readInteger(),
      tags: try readArray { (reader) throws(DecodingFailure) in try reader.readTag() },
      commitments: try readArray { (reader) throws(DecodingFailure) in try reader.readDigest() },
      slices: [],
      masked: try readArray { (reader) throws(DecodingFailure) in
        MaskedBlock(place: try reader.readSlot().place, commitment: try reader.readDigest())
      },
      at: try readMilliseconds(), due: try readMilliseconds(),
      requestKey: try readOptional { (reader) throws(DecodingFailure) in
        try reader.readDigest()
      },
      requestFingerprint: try readDigest())
  }

  mutating func readErasure() throws(DecodingFailure) -> [ErasureClaim] {
    try readArray { (reader) throws(DecodingFailure) in
      let location = try reader.readString()
      guard let level = ErasureLevel(rawValue: try reader.readString()),
        ErasureClaim.isLocation(location)
      else {
        throw .invalid(what: "erasure level", atByte: 0)
      }
      return ErasureClaim(location: location, level: level)
    }
  }

  mutating func readCopy() throws(DecodingFailure) -> OutsideCopy {
    guard let kind = OutsideCopy.Kind(rawValue: try readInteger()) else {
      throw .invalid(what: "kind of copy", atByte: 0)
    }
    return OutsideCopy(
      kind: kind, path: try readString(),
      artifacts: try readArray { (reader) throws(DecodingFailure) in try reader.readDigest() },
      at: try readMilliseconds())
  }

  mutating func readTag() throws(DecodingFailure) -> RecordTag { RecordTag(try readDigest()) }

  mutating func readLocation() throws(DecodingFailure) -> SliceLocation {
    SliceLocation(
      shard: Int(try readInteger(UInt32.self)), slice: Int(try readInteger(UInt32.self)))
  }

  package mutating func readSlot() throws(DecodingFailure) -> BlockSlot {
    BlockSlot(
      shard: Int(try readInteger(UInt32.self)), sequence: Int(try readInteger(UInt32.self)),
      stage: Int(try readInteger(UInt32.self)))
  }

  package mutating func readWork() throws(DecodingFailure) -> TrainingWork {
    TrainingWork(
      steps: try readInteger(), examples: try readInteger(), seconds: try readDouble(),
      gemmSeconds: try readDouble(), finalLoss: try readDouble(), slicesKept: try readInteger(),
      slicesComputed: try readInteger())
  }
}

extension CanonicalWriter {
  package mutating func write(_ digest: Digest) { digest.withUnsafeBytes { writeRaw($0) } }

  package mutating func write(_ time: Milliseconds) { write(UInt64(bitPattern: time)) }

  mutating func write(_ location: SliceLocation) {
    write(UInt32(location.shard))
    write(UInt32(location.slice))
  }

  package mutating func write(_ slot: BlockSlot) {
    write(UInt32(slot.shard))
    write(UInt32(slot.sequence))
    write(UInt32(slot.stage))
  }

  package mutating func write(_ work: TrainingWork) {
    write(work.steps)
    write(work.examples)
    write(work.seconds)
    write(work.gemmSeconds)
    write(work.finalLoss)
    write(work.slicesKept)
    write(work.slicesComputed)
  }

  mutating func write(_ slice: SliceState) {
    write(UInt32(slice.recordCount))
    write(slice.digest)
  }

  mutating func write(_ slice: SliceSummary) {
    write(slice.location)
    write(slice.contents)
  }

  mutating func write(_ block: CommittedBlock) {
    write(block.key.digest)
    write(block.slot)
    write(block.artifact)
    write(block.byteCount)
    write(block.worker)
    write(block.recordedWork)
    write(block.at)
  }

  /// A deletion's entry but for the slices.
  mutating func write(_ request: AcceptedDeletion) {
    write(request.number)
    write(request.tags) { $0.write($1.digest) }
    write(request.commitments) { $0.write($1) }
    write(request.masked) {
      $0.write(BlockSlot($1.place))
      $0.write($1.commitment)
    }
    write(request.at)
    write(request.due)
    write(request.requestKey) { $0.write($1) }
    write(request.requestFingerprint)
  }

  mutating func write(_ erasure: [ErasureClaim]) {
    write(erasure) {
      $0.write($1.location)
      $0.write($1.level.rawValue)
    }
  }

  mutating func write(_ copy: OutsideCopy) {
    write(copy.kind.rawValue)
    write(copy.path)
    write(copy.artifacts) { $0.write($1) }
    write(copy.at)
  }
}
