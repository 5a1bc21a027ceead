import CoordinatorCore
import Hashing
import Unlearning

/// A record with everything that coordinator and reference model derive from it.
struct SimulatedRecord: Sendable {
  let record: Record
  let digest: Digest
  let tag: RecordTag
  let location: SliceLocation
  let encoded: [UInt8]

  init(number: Int, in partition: Partition) {
    // Ids are short ASCII, which no rule of record ids excludes.
    let id = try! RecordID("record-\(number)")
    record = Record(id: id, text: "text of record \(number)", label: number % 2 == 0 ? "a" : "b")
    digest = record.digest
    tag = RecordTag(HMAC.authenticate(key: Array("tombstone".utf8), id.bytes))
    location = partition.location(ofRecordID: id.bytes, deletionProbability: nil)
    encoded = record.encoded
  }

  var ingested: IngestedRecord {
    IngestedRecord(tag: tag, digest: digest, payload: LookupTag(record.payloadDigest))
  }
}
