import Hashing
import Ledger

/// A receipt that holds, and what it was held to.
package struct VerifiedReceipt: Equatable, Sendable {
  package let receipt: Receipt
  package let checkpoint: Checkpoint
  package let deletion: DeletionEntry
  /// `nil` while the deletion is only masked.
  package let certificate: CertificateEntry?
  /// Whether an id was given, which the receipt is for.
  package let idWasChecked: Bool
  /// Whether a trusted checkpoint was given; without one, a forger may have made the whole ledger.
  package let checkpointWasTrusted: Bool
}

extension Receipt {
  /// Checks a receipt's file and everything it claims.
  ///
  /// - Parameters:
  ///   - id: the id the receipt should be for, if the reader knows it.
  ///   - checkpoint: one the reader has from elsewhere and trusts.
  ///   - consistency: the hashes of a consistency proof between the trusted checkpoint and the
  ///     receipt's, whichever of them is larger; needed when their sizes differ.
  package static func verify(
    _ bytes: [UInt8], id: [UInt8]? = nil, checkpoint: Checkpoint? = nil,
    consistency: [Digest]? = nil
  ) throws(ReceiptProblem) -> VerifiedReceipt {
    let receipt = try opened(bytes)
    let own = try receipt.parsedCheckpoint()
    let (deletion, certificate) = try receipt.parsedEntries()
    try receipt.checkFields(own, deletion, certificate)
    try receipt.checkProofs(own, deletion)
    try receipt.checkLists(deletion, certificate)
    if let id { try receipt.checkID(id) }
    if let checkpoint { try own.check(against: checkpoint, consistency: consistency) }
    return VerifiedReceipt(
      receipt: receipt, checkpoint: own, deletion: deletion, certificate: certificate,
      idWasChecked: id != nil, checkpointWasTrusted: checkpoint != nil)
  }

  private static func opened(_ bytes: [UInt8]) throws(ReceiptProblem) -> Receipt {
    do { return try open(bytes) } catch { throw .document(error) }
  }

  private func parsedCheckpoint() throws(ReceiptProblem) -> Checkpoint {
    do { return try Checkpoint(text: checkpoint) } catch { throw .checkpoint(error) }
  }

  private func parsedEntries() throws(ReceiptProblem) -> (DeletionEntry, CertificateEntry?) {
    var parsed: [LedgerEntry] = []
    for (position, entry) in entries.enumerated() {
      do { parsed.append(try LedgerEntry(text: entry.text)) } catch {
        throw .entry(position, error)
      }
    }
    guard (1...2).contains(parsed.count), case .deletion(let deletion) = parsed[0] else {
      throw .wrongEntries
    }
    guard parsed.count == 2 else { return (deletion, nil) }
    guard case .certificate(let certificate) = parsed[1], certificate.number == deletion.number
    else { throw .wrongEntries }
    return (deletion, certificate)
  }

  private func checkFields(
    _ checkpoint: Checkpoint, _ deletion: DeletionEntry, _ certificate: CertificateEntry?
  ) throws(ReceiptProblem) {
    guard run.isIdentical(to: checkpoint.origin) else { throw .field(.run) }
    guard self.deletion == deletion.number else { throw .field(.deletion) }
    guard state == (certificate == nil ? .masked : .certified) else { throw .field(.state) }
    guard times.all == Times(deletion, certificate).all else { throw .field(.times) }
    let claims = certificate?.erasure ?? []
    guard
      erasure.elementsEqual(
        claims,
        by: {
          $0.location.isIdentical(to: $1.location) && $0.level.isIdentical(to: $1.level.rawValue)
        })
    else { throw .field(.erasure) }
  }

  private func checkProofs(
    _ checkpoint: Checkpoint, _ deletion: DeletionEntry
  ) throws(ReceiptProblem) {
    for (position, entry) in entries.enumerated() {
      guard
        MerkleTree.verifyInclusion(
          leaf: MerkleTree.leafHash(Array(entry.text.utf8)), index: entry.index,
          size: checkpoint.size, proof: entry.proof, root: checkpoint.root)
      else { throw .entryNotProven(position) }
    }
    guard
      MerkleTree.verifyInclusion(
        leaf: IDCommitment.leafHash(id.commitment), index: id.index,
        size: UInt64(deletion.records), proof: id.proof, root: deletion.commitments)
    else { throw .commitmentNotProven }
  }

  private func checkLists(
    _ deletion: DeletionEntry, _ certificate: CertificateEntry?
  ) throws(ReceiptProblem) {
    guard masked.count == deletion.blocksMasked,
      MerkleTree.root(of: masked.map(\.block.leafHash)) == deletion.masked
    else { throw .maskedBlocks }
    guard let certificate else {
      guard replacements.isEmpty else { throw .replacements }
      return
    }
    guard replacements.count == certificate.replacements,
      MerkleTree.root(of: replacements.map(\.block.leafHash)) == certificate.replacementsRoot
    else { throw .replacements }
  }

  private func checkID(_ id: [UInt8]) throws(ReceiptProblem) {
    guard IDCommitment.commitment(salt: self.id.salt, id: id) == self.id.commitment else {
      throw .otherID
    }
  }
}

extension Checkpoint {
  fileprivate func check(
    against trusted: Checkpoint, consistency: [Digest]?
  ) throws(ReceiptProblem) {
    guard origin == trusted.origin else { throw .otherLedger }
    guard size != trusted.size else {
      guard root == trusted.root else { throw .otherRoot }
      return
    }
    guard let consistency else { throw .consistencyMissing }
    let (older, newer) = size < trusted.size ? (self, trusted) : (trusted, self)
    guard
      MerkleTree.verifyConsistency(
        oldSize: older.size, oldRoot: older.root, newSize: newer.size, newRoot: newer.root,
        proof: consistency)
    else { throw .inconsistent }
  }
}
