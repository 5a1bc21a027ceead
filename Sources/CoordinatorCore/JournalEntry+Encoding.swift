import ByteCoding
import Hashing
import Unlearning

extension JournalEntry {
  /// One tag byte and the fields in order; the table stands in `Protocols/journal.md`.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    switch self {
    case .created(let run):
      writer.write(UInt8(1))
      run.encode(into: &writer)
    case .ingested(let slices):
      writer.write(UInt8(17))
      writer.write(slices) { $0.write($1) }
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
      // As before keys were journalled, where none is known.
      writer.write(UInt8(block.trainer == nil ? 6 : 24))
      writer.write(block)
      if let trainer = block.trainer { writer.write(trainer.bytes) }
    case .deleted(let request):
      writer.write(UInt8(18))
      writer.write(request)
      writer.write(request.slices) { $0.write($1) }
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
    case .disputed(let key, let opinions, let at):
      writer.write(UInt8(25))
      writer.write(key.digest)
      writer.write(opinions) { $0.write($1) }
      writer.write(at)
    case .artifactLost(let key, let at):
      writer.write(UInt8(11))
      writer.write(key.digest)
      writer.write(at)
    case .certified(let number, let erasure, let at):
      writer.write(UInt8(12))
      writer.write(number)
      writer.write(erasure)
      writer.write(at)
    case .snapshotTaken(let through, let digest):
      writer.write(UInt8(13))
      writer.write(through)
      writer.write(digest)
    case .copied(let copy):
      writer.write(UInt8(14))
      writer.write(copy)
    case .copyRemoved(let path, let at):
      writer.write(UInt8(15))
      writer.write(path)
      writer.write(at)
    case .restored(let lostEntries, let at):
      writer.write(UInt8(16))
      writer.write(lostEntries)
      writer.write(at)
    case .workersCutOff(let throughDeletion, let count, let at):
      writer.write(UInt8(32))
      writer.write(throughDeletion)
      writer.write(count)
      writer.write(at)
    case .noted(let note):
      writer.write(UInt8(48))
      note.encode(into: &writer)
    }
    return writer.bytes
  }

  package init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    switch try reader.readInteger(UInt8.self) {
    case 1: self = .created(try RunDescription(from: &reader))
    case 3: self = .started(term: try reader.readInteger(), at: try reader.readMilliseconds())
    case 4: self = .numericClassPinned(try reader.readString())
    case 5: self = .trainingRequested(at: try reader.readMilliseconds())
    case 6: self = .committed(try reader.readCommittedBlock())
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
    case 11:
      self = .artifactLost(BlockKey(try reader.readDigest()), at: try reader.readMilliseconds())
    case 12:
      self = .certified(
        number: try reader.readInteger(), erasure: try reader.readErasure(),
        at: try reader.readMilliseconds())
    case 13:
      self = .snapshotTaken(through: try reader.readInteger(), digest: try reader.readDigest())
    case 14: self = .copied(try reader.readCopy())
    case 15:
      self = .copyRemoved(path: try reader.readString(), at: try reader.readMilliseconds())
    case 16:
      self = .restored(
        lostEntries: try reader.readInteger(), at: try reader.readMilliseconds())
    case 17: self = .ingested(try reader.readSummaries())
    case 18:
      var request = try reader.readDeletionRequest()
      request.slices = try reader.readSummaries()
      self = .deleted(request)
    case 24:
      var block = try reader.readCommittedBlock()
      block.trainer = PeerIdentity(try reader.readBytes())
      self = .committed(block)
    case 25:
      self = .disputed(
        BlockKey(try reader.readDigest()), try reader.readOpinions(),
        at: try reader.readMilliseconds())
    case 32:
      self = .workersCutOff(
        throughDeletion: try reader.readInteger(), count: try reader.readInteger(),
        at: try reader.readMilliseconds())
    case 48: self = .noted(try RunNote(from: &reader))
    // Types 2 and 7 listed every record; no build writes or reads them any more.
    default: throw .invalid(what: "type of a journal entry", atByte: 0)
    }
    try reader.finish()
  }
}
