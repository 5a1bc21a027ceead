import Foundation
import Hashing
import Ledger
import Receipts

/// A small ledger whose every byte is fixed; `Protocols/vectors` holds what follows from it.
///
/// Entries: 0 deletion 1; 1 deletion 2, of three ids; 2 certificate 1; 3 deletion 3;
/// 4 certificate 2.
struct Example {
  static let origin = "wordnet10"
  static let ids = ["record 17", "record 4", "record 2"].map { Array($0.utf8) }
  static let salt = SHA256.hash("lethe example salt".utf8)
  /// 2026-01-01T00:00:00.001Z: a millisecond that floating-point seconds would lose.
  static let start: Int64 = 1_767_225_600_001

  let masked = [
    MaskedBlock(
      place: BlockPlace(shard: 0, sequence: 1, stage: 2),
      commitment: BlockCommitment.commitment(deletionSalt: salt, key: SHA256.hash("old 1".utf8))),
    MaskedBlock(
      place: BlockPlace(shard: 3, sequence: 0, stage: 1),
      commitment: BlockCommitment.commitment(deletionSalt: salt, key: SHA256.hash("old 2".utf8))),
  ]
  let replacements = [
    ReplacementBlock(
      place: BlockPlace(shard: 0, sequence: 1, stage: 2), key: SHA256.hash("new 1".utf8),
      artifact: SHA256.hash("artifact 1".utf8)),
    ReplacementBlock(
      place: BlockPlace(shard: 3, sequence: 0, stage: 1), key: SHA256.hash("new 2".utf8),
      artifact: SHA256.hash("artifact 2".utf8)),
  ]
  let commitments: [Digest]
  let entries: [LedgerEntry]
  let deletion: Receipt.Placed<DeletionEntry>
  let certificate: Receipt.Placed<CertificateEntry>

  init() {
    commitments = Self.ids.map { id in
      IDCommitment.commitment(salt: IDCommitment.salt(deletionSalt: Self.salt, id: id), id: id)
    }.sorted()
    let (start, empty) = (Self.start, MerkleTree.emptyRoot)
    func lone(_ number: UInt64) -> LedgerEntry {
      .deletion(
        DeletionEntry(
          number: number, acceptedAt: start + Int64(number) * 60_000, records: 1,
          commitments: IDCommitment.leafHash(SHA256.hash("commitment \(number)".utf8)),
          blocksMasked: 0, masked: empty))
    }
    deletion = Receipt.Placed(
      DeletionEntry(
        number: 2, acceptedAt: start + 120_000, records: 3,
        commitments: MerkleTree.root(of: commitments.map(IDCommitment.leafHash)),
        blocksMasked: masked.count, masked: MerkleTree.root(of: masked.map(\.leafHash))), at: 1)
    certificate = Receipt.Placed(
      CertificateEntry(
        number: 2, maskedAt: start + 120_000, purgedAt: start + 120_950,
        repairedAt: start + 305_321, certifiedAt: start + 305_400,
        erasure: [
          ErasureClaim(location: "slice files", level: .unlinked),
          ErasureClaim(location: "artifact store", level: .unlinked),
          ErasureClaim(location: "worker caches", level: .unlinked),
        ], replacements: replacements.count,
        replacementsRoot: MerkleTree.root(of: replacements.map(\.leafHash))), at: 4)
    entries = [
      lone(1), .deletion(deletion.entry),
      .certificate(
        CertificateEntry(
          number: 1, maskedAt: start + 60_000, purgedAt: start + 60_500,
          repairedAt: start + 60_500, certifiedAt: start + 60_501,
          erasure: [ErasureClaim(location: "slice files", level: .unlinked)], replacements: 0,
          replacementsRoot: empty)),
      lone(3), .certificate(certificate.entry),
    ]
  }

  /// The ledger when it held its first `size` entries.
  func ledger(_ size: Int) -> MerkleTree {
    MerkleTree(entries.prefix(size).map(\.leafHash))
  }

  func checkpoint(_ size: Int) -> Checkpoint {
    Checkpoint(origin: Self.origin, size: UInt64(size), root: ledger(size).root)
  }

  func receipt(for id: [UInt8] = ids[0], size: Int) throws(ReceiptProblem) -> Receipt {
    let isCertified = size > certificate.index
    return try Receipt.make(
      origin: Self.origin, ledger: ledger(size), deletion: deletion,
      certificate: isCertified ? certificate : nil, deletionSalt: Self.salt, id: id,
      commitments: commitments, masked: masked, replacements: isCertified ? replacements : [])
  }

  /// Every file of `Protocols/vectors`, by name.
  func vectors() throws -> [(name: String, bytes: [UInt8])] {
    [
      ("checkpoint-3.txt", Array(checkpoint(3).text.utf8)),
      ("checkpoint-5.txt", Array(checkpoint(5).text.utf8)),
      ("receipt-masked.json", try receipt(size: 3).bytes),
      ("receipt-certified.json", try receipt(size: 5).bytes),
      (
        "ledger-consistency.json",
        LedgerProof.consistency(origin: Self.origin, ledger: ledger(5), from: 3).bytes
      ),
      (
        "ledger-inclusion.json",
        LedgerProof.inclusion(origin: Self.origin, ledger: ledger(5), index: 2, entry: entries[2])
          .bytes
      ),
    ]
  }

  static let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func vector(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: repository.appending(path: "Protocols/vectors/\(name)")))
  }
}
