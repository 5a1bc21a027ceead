import ByteCoding
import Hashing
import Unlearning

extension CanonicalReader {
  package mutating func readDigest() throws(DecodingFailure) -> Digest {
    Digest(try readRaw(byteCount: Digest.byteCount))!
  }

  package mutating func readMilliseconds() throws(DecodingFailure) -> Milliseconds {
    Milliseconds(bitPattern: try readInteger())
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
      gemmSeconds: try readDouble(), finalLoss: try readDouble())
  }
}

extension CanonicalWriter {
  package mutating func write(_ digest: Digest) { writeRaw(digest.bytes) }

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
  }
}

extension JournalEntry {
  /// One tag byte and the fields in order; the table stands in `Protocols/journal.md`.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    switch self {
    case .created(let run):
      writer.write(UInt8(1))
      run.encode(into: &writer)
    case .ingested(let slices):
      writer.write(UInt8(2))
      writer.write(slices) { writer, slice in
        writer.write(slice.location)
        writer.write(slice.records) {
          $0.write($1.tag.digest)
          $0.write($1.digest)
        }
      }
    case .started(let term, let at):
      writer.write(UInt8(3))
      writer.write(term)
      writer.write(at)
    case .numericClassPinned(let description):
      writer.write(UInt8(4))
      writer.write(description)
    case .trainingRequested(let at):
      writer.write(UInt8(5))
      writer.write(at)
    case .committed(let block):
      writer.write(UInt8(6))
      writer.write(block.key.digest)
      writer.write(block.slot)
      writer.write(block.artifact)
      writer.write(block.byteCount)
      writer.write(block.worker)
      writer.write(block.work)
      writer.write(block.at)
    case .deleted(let number, let tags, let at):
      writer.write(UInt8(7))
      writer.write(number)
      writer.write(tags) { $0.write($1.digest) }
      writer.write(at)
    case .purged(let throughDeletion, let slices, let artifacts, let at):
      writer.write(UInt8(8))
      writer.write(throughDeletion)
      writer.write(slices) { $0.write($1) }
      writer.write(artifacts) { $0.write($1) }
      writer.write(at)
    case .repaired(let number, let at):
      writer.write(UInt8(9))
      writer.write(number)
      writer.write(at)
    case .quarantined(let key, let at):
      writer.write(UInt8(10))
      writer.write(key.digest)
      writer.write(at)
    }
    return writer.bytes
  }

  package init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    switch try reader.readInteger(UInt8.self) {
    case 1: self = .created(try RunDescription(from: &reader))
    case 2:
      self = .ingested(
        try reader.readArray { (reader) throws(DecodingFailure) in
          IngestedSlice(
            location: try reader.readLocation(),
            records: try reader.readArray { (reader) throws(DecodingFailure) in
              IngestedRecord(tag: try reader.readTag(), digest: try reader.readDigest())
            })
        })
    case 3: self = .started(term: try reader.readInteger(), at: try reader.readMilliseconds())
    case 4: self = .numericClassPinned(try reader.readString())
    case 5: self = .trainingRequested(at: try reader.readMilliseconds())
    case 6:
      self = .committed(
        CommittedBlock(
          key: BlockKey(try reader.readDigest()), slot: try reader.readSlot(),
          artifact: try reader.readDigest(), byteCount: try reader.readInteger(),
          worker: try reader.readString(), work: try reader.readWork(),
          at: try reader.readMilliseconds()))
    case 7:
      self = .deleted(
        number: try reader.readInteger(),
        tags: try reader.readArray { (reader) throws(DecodingFailure) in try reader.readTag() },
        at: try reader.readMilliseconds())
    case 8:
      self = .purged(
        throughDeletion: try reader.readInteger(),
        slices: try reader.readArray { (reader) throws(DecodingFailure) in
          try reader.readLocation()
        },
        artifacts: try reader.readArray { (reader) throws(DecodingFailure) in
          try reader.readDigest()
        },
        at: try reader.readMilliseconds())
    case 9:
      self = .repaired(number: try reader.readInteger(), at: try reader.readMilliseconds())
    case 10:
      self = .quarantined(BlockKey(try reader.readDigest()), at: try reader.readMilliseconds())
    default: throw .invalid(what: "journal entry type", atByte: 0)
    }
    try reader.finish()
  }
}
