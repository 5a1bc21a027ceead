import Hashing
import Ledger

extension Receipt {
  /// A ledger entry and where it stands in the ledger.
  package struct Placed<Entry: Sendable>: Sendable {
    package let entry: Entry
    package let index: Int

    package init(_ entry: Entry, at index: Int) {
      self.entry = entry
      self.index = index
    }
  }

  /// Makes the receipt for one id of a deletion, against the ledger as it is now.
  ///
  /// The receipt is verified before it is returned: what the run kept may have been damaged, and a
  /// receipt that does not hold must not leave the house.
  ///
  /// - Parameters:
  ///   - ledger: the leaf hash of every entry; the checkpoint is its size and root.
  ///   - commitments: those of every id of the deletion, in the order its entry commits to.
  ///   - masked: the blocks that stopped serving, in the order the deletion's entry commits to.
  ///   - replacements: those of the certificate, in its order; empty without one.
  package static func make(
    origin: String, ledger: MerkleTree, deletion: Placed<DeletionEntry>,
    certificate: Placed<CertificateEntry>?, deletionSalt: Digest, id: [UInt8],
    commitments: [Digest], masked: [MaskedBlock], replacements: [ReplacementBlock]
  ) throws(ReceiptProblem) -> Receipt {
    let salt = IDCommitment.salt(deletionSalt: deletionSalt, id: id)
    let commitment = IDCommitment.commitment(salt: salt, id: id)
    guard let index = commitments.firstIndex(of: commitment) else { throw .commitmentNotProven }

    var leaves = [(LedgerEntry.deletion(deletion.entry), deletion.index)]
    if let certificate { leaves.append((.certificate(certificate.entry), certificate.index)) }
    var entries: [Entry] = []
    for (position, (entry, index)) in leaves.enumerated() {
      guard (0..<ledger.count).contains(index) else { throw .entryNotProven(position) }
      entries.append(
        Entry(
          index: UInt64(index), proof: ledger.inclusionProof(of: index, inFirst: ledger.count),
          text: entry.text))
    }

    let receipt = Receipt(
      checkpoint: Checkpoint(origin: origin, size: UInt64(ledger.count), root: ledger.root).text,
      deletion: deletion.entry.number,
      entries: entries,
      erasure: (certificate?.entry.erasure ?? []).map {
        Erasure(level: $0.level.rawValue, location: $0.location)
      },
      format: formatName,
      id: Opening(
        commitment: commitment, index: UInt64(index),
        proof: MerkleTree.inclusionProof(of: index, in: commitments.map(IDCommitment.leafHash)),
        salt: salt),
      masked: masked.map { Masked($0) },
      replacements: replacements.map { Replacement($0) },
      run: origin,
      state: certificate == nil ? .masked : .certified,
      times: Times(deletion.entry, certificate?.entry)
    ).sealed()
    _ = try verify(receipt.bytes, id: id)
    return receipt
  }
}
