import ByteCoding
import Hashing
import Unlearning

/// Parts of a snapshot that most runs of earlier builds had no need of: each has a name, is there
/// only if it says something, and stands behind the rest, ascending by name.
extension RunState {
  static let plainFormat = "lethe-run-state-2"
  /// The same, and then a sequence of sections: string name, bytes.
  static let sectionedFormat = "lethe-run-state-3"

  private enum Section: String, CaseIterable {
    case cutOffWorkers = "cut-off-workers"
    case disputes
    case erasedSalts = "erased-salts"
    case origins
    case saltChecks = "salt-checks"
    case tombstones
    case trainers
  }

  var sections: [(name: String, bytes: [UInt8])] {
    Section.allCases.compactMap { section in
      bytes(of: section).map { (section.rawValue, $0) }
    }
  }

  private func bytes(of section: Section) -> [UInt8]? {
    var writer = CanonicalWriter()
    switch section {
    case .cutOffWorkers:
      let cutOff = deletions.filter { $0.workersCutOff > 0 }
      guard !cutOff.isEmpty else { return nil }
      writer.write(cutOff) {
        $0.write($1.number)
        $0.write($1.workersCutOff)
      }
    case .disputes:
      guard !disputes.isEmpty else { return nil }
      writer.write(disputes.sorted { $0.key < $1.key }) {
        $0.write($1.key.digest)
        $0.write($1.value.standing)
        $0.write($1.value.opinions) { $0.write($1) }
      }
    case .erasedSalts:
      guard !salts.erased.isEmpty else { return nil }
      writer.write(salts.erased.sorted()) { $0.write($1) }
    case .origins:
      guard !origins.isEmpty else { return nil }
      writer.write(origins.sorted { $0.key < $1.key }) {
        $0.write($1.key)
        $0.write($1.value)
      }
    case .saltChecks:
      guard !salts.checks.isEmpty else { return nil }
      writer.write(salts.checks.sorted { $0.key < $1.key }) {
        $0.write(SaltCheck(deletion: $1.key, digest: $1.value))
      }
    case .tombstones:
      guard !importedTombstones.isEmpty else { return nil }
      writer.write(importedTombstones.sorted()) { $0.write($1.digest) }
    case .trainers:
      let trained = blocks.values.filter { $0.trainer != nil }.sorted { $0.key < $1.key }
      guard !trained.isEmpty else { return nil }
      writer.write(trained) {
        $0.write($1.key.digest)
        $0.write($1.trainer?.bytes ?? [])
      }
    }
    return writer.bytes
  }

  /// - Precondition: the deletions and the blocks have been read.
  mutating func readSections(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    let found = try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (try reader.readString(), try reader.readBytes())
      })
    guard !found.isEmpty else { throw .invalid(what: "sections", atByte: 0) }
    for (name, bytes) in found {
      guard let section = Section(rawValue: name) else {
        throw .invalid(what: "section of a later version", atByte: 0)
      }
      var inner = CanonicalReader(Array(bytes))
      try read(section, &inner)
      try inner.finish()
    }
  }

  private mutating func read(_ section: Section, _ reader: inout CanonicalReader)
    throws(DecodingFailure)
  {
    switch section {
    case .cutOffWorkers: try readCutOffs(&reader)
    case .disputes: try readDisputes(&reader)
    case .erasedSalts:
      salts.erased = Set(
        try reader.readAscending(by: \.self) { (reader) throws(DecodingFailure) in
          try reader.readInteger(UInt64.self)
        })
    case .origins:
      for (number, origin) in try reader.readAscending(
        by: { $0.0 },
        each: { (reader) throws(DecodingFailure) in
          (try reader.readInteger(UInt64.self), try reader.readOrigin())
        })
      { origins[number] = origin }
    case .saltChecks:
      for check in try reader.readAscending(
        by: \.deletion, each: { (reader) throws(DecodingFailure) in try reader.readSaltCheck() })
      { salts.checks[check.deletion] = check.digest }
    case .tombstones:
      importedTombstones = Set(
        try reader.readAscending(by: \.self) { (reader) throws(DecodingFailure) in
          RecordTag(try reader.readDigest())
        })
    case .trainers: try readTrainers(&reader)
    }
    let known = 1...UInt64(max(deletions.count, 1))
    guard salts.erased.union(salts.checks.keys).union(origins.keys).allSatisfy(known.contains)
    else { throw .invalid(what: "number of a deletion", atByte: 0) }
  }

  private mutating func readCutOffs(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    for (number, count) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (try reader.readInteger(UInt64.self), try reader.readInteger(UInt32.self))
      })
    {
      guard number >= 1, number <= UInt64(deletions.count), count > 0 else {
        throw .invalid(what: "workers cut off", atByte: 0)
      }
      deletions[Int(number) - 1].workersCutOff = count
    }
  }

  private mutating func readDisputes(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    for (key, dispute) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (
          BlockKey(try reader.readDigest()),
          BlockDispute(standing: try reader.readDigest(), opinions: try reader.readOpinions())
        )
      })
    { disputes[key] = dispute }
  }

  private mutating func readTrainers(_ reader: inout CanonicalReader) throws(DecodingFailure) {
    for (key, trainer) in try reader.readAscending(
      by: { $0.0 },
      each: { (reader) throws(DecodingFailure) in
        (BlockKey(try reader.readDigest()), PeerIdentity(try reader.readBytes()))
      })
    {
      guard blocks[key] != nil else { throw .invalid(what: "trainer of a block", atByte: 0) }
      blocks[key]?.trainer = trainer
    }
  }
}
