import Hashing
import Unlearning

/// A record that is part of the run.
package struct LiveRecord: Equatable, Sendable {
  package let location: SliceLocation
  package let digest: Digest
  /// Keyed hash of what a model learns from the record; equal for exact duplicates.
  package let payload: LookupTag
  /// Keyed hash of the record's subject.
  package let subject: LookupTag?

  package init(
    location: SliceLocation, digest: Digest, payload: LookupTag, subject: LookupTag?
  ) {
    self.location = location
    self.digest = digest
    self.payload = payload
    self.subject = subject
  }
}

/// Eight bytes of a keyed hash: enough to look something up, to be confirmed on the bytes.
package struct LookupTag: Hashable, Sendable {
  package let value: UInt64

  package init(_ value: UInt64) {
    self.value = value
  }

  /// The first bytes of a digest, big-endian.
  package init(_ digest: Digest) {
    value = digest.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// Live records by tag, by subject and, where there are several, by payload.
package struct RecordIndex: Equatable, Sendable {
  private var byTag: [RecordTag: LiveRecord] = [:]
  private var bySubject: [LookupTag: Set<RecordTag>] = [:]
  /// Payloads that more than one record has.
  private var duplicates: [LookupTag: Set<RecordTag>] = [:]

  package var count: Int { byTag.count }
  package var tags: some Collection<RecordTag> { byTag.keys }

  package subscript(tag: RecordTag) -> LiveRecord? { byTag[tag] }

  /// Live records of a person.
  package func tags(ofSubject subject: LookupTag) -> Set<RecordTag> { bySubject[subject] ?? [] }

  /// Other live records with the payload of this one.
  package func duplicates(of tag: RecordTag) -> Set<RecordTag> {
    guard let record = byTag[tag], var tags = duplicates[record.payload] else { return [] }
    tags.remove(tag)
    return tags
  }

  mutating func insert(_ tag: RecordTag, _ record: LiveRecord) {
    byTag[tag] = record
    if let subject = record.subject { bySubject[subject, default: []].insert(tag) }
  }

  /// Finds the payloads that several records have; after all records are in.
  mutating func indexDuplicates() {
    var counts: [LookupTag: Int] = [:]
    counts.reserveCapacity(byTag.count)
    for record in byTag.values { counts[record.payload, default: 0] += 1 }
    duplicates = [:]
    guard counts.count < byTag.count else { return }
    for (tag, record) in byTag where counts[record.payload]! > 1 {
      duplicates[record.payload, default: []].insert(tag)
    }
  }

  mutating func remove(_ tag: RecordTag) -> LiveRecord? {
    guard let record = byTag.removeValue(forKey: tag) else { return nil }
    if let subject = record.subject {
      bySubject[subject]?.remove(tag)
      if bySubject[subject]?.isEmpty == true { bySubject[subject] = nil }
    }
    if duplicates[record.payload] != nil {
      duplicates[record.payload]?.remove(tag)
      if duplicates[record.payload]!.count < 2 { duplicates[record.payload] = nil }
    }
    return record
  }
}
