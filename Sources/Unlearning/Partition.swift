import ByteCoding
import Hashing

/// Where records live: a keyed hash of the id, and of nothing else but, where the run says so, the
/// record's own declared probability of a deletion.
///
/// Content, counts, order of arrival and other records play no part, so a run without a record puts
/// every other record in the same place.
package struct Partition: Sendable {
  /// Under the run's partition key; has seen no message yet.
  private let authenticator: HMAC.Authenticator
  private let shardCount: Int
  private let sliceCount: Int
  private let sliceThresholds: [Double]?

  package init(key: [UInt8], plan: RunPlan) {
    authenticator = HMAC.Authenticator(key: key)
    shardCount = plan.shardCount
    sliceCount = plan.sliceCount
    sliceThresholds = plan.sliceThresholds
  }

  /// The slice of the record with this id.
  ///
  /// Bytes 0–7 of `HMAC-SHA256(key, id)`, big-endian, choose the shard and bytes 8–15 the slice,
  /// each by remainder. Under thresholds the slice of a record that declares a probability is the
  /// number of thresholds that the probability reaches.
  package func location(ofRecordID id: [UInt8], deletionProbability: Double?) -> SliceLocation {
    var authenticator = authenticator
    authenticator.update(id)
    return authenticator.finalize().withUnsafeBytes { tag in
      func number(at offset: Int) -> UInt64 {
        UInt64(bigEndian: tag.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      }
      let slice =
        if let sliceThresholds, let deletionProbability {
          sliceThresholds.count { $0 <= deletionProbability }
        } else {
          Int(number(at: 8) % UInt64(sliceCount))
        }
      return SliceLocation(shard: Int(number(at: 0) % UInt64(shardCount)), slice: slice)
    }
  }
}

/// The order of records inside one pass over a stage's data.
package enum EpochOrder {
  /// Positions of `ids` in training order: ascending by a hash of stage seed, epoch and id.
  ///
  /// Removing a record leaves the relative order of all others as it was.
  package static func positions(of ids: [[UInt8]], seed: UInt64, epoch: Int) -> [Int] {
    let ranks = ids.map { id in
      var writer = CanonicalWriter()
      writer.write("lethe-epoch-order-1")
      writer.write(seed)
      writer.write(UInt32(epoch))
      writer.write(id)
      return SHA256.hash(writer.bytes)
    }
    return ids.indices.sorted { ranks[$0] < ranks[$1] }
  }
}
