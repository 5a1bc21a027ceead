import Hashing
import Ledger

/// Why a ledger proof is refused: one case per check, in the order the checks are made.
package enum LedgerProofProblem: Error, Equatable, Sendable {
  case document(DocumentProblem)
  case checkpoint(LedgerTextProblem)
  case older(LedgerTextProblem)
  case entry(LedgerTextProblem)
  /// A field of the other kind of proof is there, or one of this kind is not.
  case wrongFields
  /// The two checkpoints are of two ledgers.
  case twoLedgers
  /// The entry's text does not have the leaf hash beside it.
  case otherLeaf
  /// The hashes do not lead to the checkpoint's root.
  case notProven
  /// The trusted checkpoint is none of the proof's.
  case otherCheckpoint
}

/// A ledger proof that holds.
package struct VerifiedLedgerProof: Equatable, Sendable {
  package enum Claim: Equatable, Sendable {
    /// The ledger has grown from this checkpoint, and nothing before it changed.
    case grownFrom(Checkpoint)
    /// The ledger holds this leaf; the entry is absent when its text is no longer kept.
    case holds(index: UInt64, leaf: Digest, entry: LedgerEntry?)
  }

  package let claim: Claim
  package let checkpoint: Checkpoint
  /// The hashes, which for a consistency proof `Receipt.verify` takes.
  package let hashes: [Digest]
}

extension LedgerProof {
  /// Checks a proof's file and its claim.
  ///
  /// - Parameter checkpoint: one the reader trusts; it must be the proof's, or the older one.
  package static func verify(
    _ bytes: [UInt8], checkpoint: Checkpoint? = nil
  ) throws(LedgerProofProblem) -> VerifiedLedgerProof {
    let proof = try opened(bytes)
    let newer = try proof.parsedCheckpoint()
    let claim =
      switch proof.kind {
      case .consistency: try proof.checkConsistency(newer)
      case .inclusion: try proof.checkInclusion(newer)
      }
    if let checkpoint {
      guard checkpoint == newer || claim == .grownFrom(checkpoint) else { throw .otherCheckpoint }
    }
    return VerifiedLedgerProof(claim: claim, checkpoint: newer, hashes: proof.hashes)
  }

  private static func opened(_ bytes: [UInt8]) throws(LedgerProofProblem) -> LedgerProof {
    do { return try open(bytes) } catch { throw .document(error) }
  }

  private func parsedCheckpoint() throws(LedgerProofProblem) -> Checkpoint {
    do { return try Checkpoint(text: checkpoint) } catch { throw .checkpoint(error) }
  }

  private func checkConsistency(
    _ newer: Checkpoint
  ) throws(LedgerProofProblem) -> VerifiedLedgerProof.Claim {
    guard let text = older, entry == nil else { throw .wrongFields }
    let older: Checkpoint
    do { older = try Checkpoint(text: text) } catch { throw .older(error) }
    guard older.origin == newer.origin else { throw .twoLedgers }
    guard
      MerkleTree.verifyConsistency(
        oldSize: older.size, oldRoot: older.root, newSize: newer.size, newRoot: newer.root,
        proof: hashes)
    else { throw .notProven }
    return .grownFrom(older)
  }

  private func checkInclusion(
    _ checkpoint: Checkpoint
  ) throws(LedgerProofProblem) -> VerifiedLedgerProof.Claim {
    guard let entry, older == nil else { throw .wrongFields }
    var parsed: LedgerEntry?
    if let text = entry.text {
      do { parsed = try LedgerEntry(text: text) } catch { throw .entry(error) }
      guard parsed?.leafHash == entry.leaf else { throw .otherLeaf }
    }
    guard
      MerkleTree.verifyInclusion(
        leaf: entry.leaf, index: entry.index, size: checkpoint.size, proof: hashes,
        root: checkpoint.root)
    else { throw .notProven }
    return .holds(index: entry.index, leaf: entry.leaf, entry: parsed)
  }
}
