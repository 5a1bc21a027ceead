import ByteCoding
import Hashing
import Ledger
import Unlearning

extension RunState {
  /// The whole state in canonical encoding; what a journal snapshot holds.
  ///
  /// Everything that follows from something else (keys, indexes, ledger leaves) is left out and
  /// computed again, so that a snapshot cannot say two things.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    let sections = sections
    // An earlier build reads it too, unless there is something that it would not know.
    writer.write(sections.isEmpty ? Self.plainFormat : Self.sectionedFormat)
    run.encode(into: &writer)
    writer.write(term)
    writer.write(numericClass) { $0.write($1) }
    writer.write(isTrainingRequested)
    writer.write(locations) { writer, location in
      writer.write(slices[location.shard][location.slice])
    }
    writer.write(deletions) { writer, deletion in
      writer.write(deletion.request)
      writer.write(deletion.locations) { $0.write($1) }
      for time in [deletion.purgedAt, deletion.repairedAt, deletion.certifiedAt] {
        writer.write(time) { $0.write($1) }
      }
      writer.write(deletion.replacements) {
        $0.write(BlockSlot($1.place))
        $0.write($1.key)
        $0.write($1.artifact)
      }
      writer.write(deletion.erasure)
    }
    writer.write(ledger.leaves) { writer, leaf in
      switch leaf {
      case .deletion(let number):
        writer.write(UInt8(0))
        writer.write(number)
      case .certificate(let number):
        writer.write(UInt8(1))
        writer.write(number)
      }
    }
    writer.write(ledger.forgivenSize)
    writer.write(blocks.values.sorted { $0.key < $1.key }) { $0.write($1) }
    writer.write(standing.sorted { $0.key < $1.key }) {
      $0.write($1.key)
      $0.write($1.value.digest)
    }
    writer.write(maskedSince.sorted { $0.key < $1.key }) {
      $0.write($1.key)
      $0.write($1.value)
    }
    writer.write(repairsRequested.sorted()) { $0.write($1) }
    writer.write(withdrawals.sorted { $0.key < $1.key }) {
      $0.write($1.key)
      $0.write($1.value.cause.rawValue)
      $0.write($1.value.at)
    }
    writer.write(quarantinedKeys.sorted()) { $0.write($1.digest) }
    writer.write(slicesToPurge.sorted()) { $0.write($1) }
    writer.write(artifactsToPurge.sorted()) { $0.write($1) }
    writer.write(copies.values.sorted { $0.path < $1.path }) { $0.write($1) }
    if !sections.isEmpty {
      writer.write(sections) {
        $0.write($1.name)
        $0.write($1.bytes)
      }
    }
    return writer.bytes
  }

  /// Reads back what `encoded` wrote, and nothing else; keys are refreshed.
  package init(encoded bytes: [UInt8]) throws {
    var reader = CanonicalReader(bytes)
    let format = try reader.readString()
    guard format == Self.plainFormat || format == Self.sectionedFormat else {
      throw DecodingFailure.invalid(what: "format of a snapshot", atByte: 0)
    }
    try self.init(RunDescription(from: &reader))
    term = try reader.readInteger()
    numericClass = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readString()
    }
    isTrainingRequested = try reader.readBool()
    try readSlices(&reader)
    try readDeletions(&reader)
    try readLedger(&reader)
    try readBlocks(&reader)
    try readPurges(&reader)
    for copy in try reader.readAscending(
      by: \.path, each: { (reader) throws(DecodingFailure) in try reader.readCopy() })
    {
      copies[copy.path] = copy
    }
    if format == Self.sectionedFormat { try readSections(&reader) }
    try reader.finish()
    refreshKeys()
  }

  private mutating func readSlices(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    let contents = try reader.readArray { (reader) throws(DecodingFailure) in
      try reader.readSliceState()
    }
    let locations = locations
    guard contents.count == locations.count else { throw .invalid(what: "slices", atByte: 0) }
    for (location, contents) in zip(locations, contents) {
      fill(SliceSummary(location: location, contents: contents))
    }
  }

  /// A location inside this run's plan.
  private func readPlace(_ reader: inout CanonicalReader) throws(DecodingFailure) -> SliceLocation {
    let location = try reader.readLocation()
    guard (0..<plan.shardCount).contains(location.shard),
      (0..<plan.sliceCount).contains(location.slice)
    else { throw .invalid(what: "slice", atByte: 0) }
    return location
  }

  private func holds(_ slot: BlockSlot) -> Bool {
    (0..<plan.shardCount).contains(slot.shard)
      && (0..<plan.sequenceCount).contains(slot.sequence)
      && (1...plan.sliceCount).contains(slot.stage)
  }

  /// A slot inside this run's plan.
  private func readSlot(_ reader: inout CanonicalReader) throws(DecodingFailure) -> BlockSlot {
    let slot = try reader.readSlot()
    guard holds(slot) else { throw .invalid(what: "slot", atByte: 0) }
    return slot
  }

  private mutating func readDeletions(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    deletions = try reader.readArray { (reader) throws(DecodingFailure) in
      let request = try reader.readDeletionRequest()
      var deletion = Deletion(
        request,
        locations: try reader.readArray { (reader) throws(DecodingFailure) in
          try readPlace(&reader)
        })
      func time() throws(DecodingFailure) -> Milliseconds? {
        try reader.readOptional { (reader) throws(DecodingFailure) in
          try reader.readMilliseconds()
        }
      }
      deletion.purgedAt = try time()
      deletion.repairedAt = try time()
      deletion.certifiedAt = try time()
      deletion.replacements = try reader.readArray { (reader) throws(DecodingFailure) in
        ReplacementBlock(
          place: try readSlot(&reader).place, key: try reader.readDigest(),
          artifact: try reader.readDigest())
      }
      deletion.erasure = try reader.readErasure()
      return deletion
    }
    for (index, deletion) in deletions.enumerated() {
      guard deletion.number == UInt64(index) + 1 else {
        throw .invalid(what: "number of a deletion", atByte: 0)
      }
      for tag in deletion.tags {
        guard deletedTags[tag] == nil else { throw .invalid(what: "deleted record", atByte: 0) }
        deletedTags[tag] = deletion.number
      }
      if let key = deletion.requestKey { requests[key] = deletion.number }
      if deletion.certifiedAt == nil { openDeletions.append(deletion.number) }
    }
  }

  private mutating func readLedger(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    for (kind, number) in try reader.readArray(each: { (reader) throws(DecodingFailure) in
      (try reader.readInteger(UInt8.self), try reader.readInteger(UInt64.self))
    }) {
      guard number >= 1, number <= UInt64(deletions.count) else {
        throw .invalid(what: "ledger entry", atByte: 0)
      }
      let deletion = deletion(number)
      switch kind {
      case 0: ledger.append(.deletion(number), deletion.ledgerEntry)
      case 1:
        guard let entry = deletion.certificateEntry else {
          throw .invalid(what: "certificate", atByte: 0)
        }
        ledger.append(.certificate(number), entry)
      default: throw .invalid(what: "kind of ledger entry", atByte: 0)
      }
    }
    ledger.forgivenSize = try reader.readInteger()
  }

  private mutating func readBlocks(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    for block in try reader.readAscending(
      by: \.key, each: { (reader) throws(DecodingFailure) in try reader.readCommittedBlock() })
    {
      guard holds(block.slot) else { throw .invalid(what: "slot", atByte: 0) }
      blocks[block.key] = block
      artifactUses[block.artifact, default: 0] += 1
    }
    for (slot, key) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (try readSlot(&reader), BlockKey(try reader.readDigest()))
      })
    { standing[slot] = key }
    for (slot, at) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (try readSlot(&reader), try reader.readMilliseconds())
      })
    { maskedSince[slot] = at }
    for slot in try reader.readAscending(
      by: \.self, each: { (reader) throws(DecodingFailure) in try readSlot(&reader) })
    {
      guard maskedSince[slot] != nil else { throw .invalid(what: "repair", atByte: 0) }
      repairsRequested.insert(slot)
    }
    for (slot, withdrawal) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) -> (BlockSlot, Withdrawal) in
        let slot = try readSlot(&reader)
        guard let cause = Withdrawal.Cause(rawValue: try reader.readInteger()) else {
          throw .invalid(what: "withdrawal", atByte: 0)
        }
        return (slot, Withdrawal(cause: cause, at: try reader.readMilliseconds()))
      })
    { withdrawals[slot] = withdrawal }
    quarantinedKeys = Set(
      try reader.readAscending(by: \.self) { (reader) throws(DecodingFailure) in
        BlockKey(try reader.readDigest())
      })
  }

  private mutating func readPurges(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    slicesToPurge = Set(
      try reader.readAscending(by: \.self) { (reader) throws(DecodingFailure) in
        try readPlace(&reader)
      })
    artifactsToPurge = Set(
      try reader.readAscending(by: \.self) { (reader) throws(DecodingFailure) in
        try reader.readDigest()
      })
  }
}

extension Deletion {
  /// The part of a deletion that its journal entry held; the slices' digests are not kept, as the
  /// next deletion makes them those of a record that is gone.
  var request: AcceptedDeletion {
    AcceptedDeletion(
      number: number, tags: tags, commitments: commitments, slices: [], masked: masked,
      at: acceptedAt, due: due, requestKey: requestKey, requestFingerprint: requestFingerprint)
  }
}
