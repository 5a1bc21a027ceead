import Ledger

/// Why a receipt is refused: one case per check, in the order the checks are made.
package enum ReceiptProblem: Error, Equatable, Sendable {
  /// A field for people that must repeat what the entries or the checkpoint say.
  package enum Field: String, Sendable {
    case run, deletion, state, times, erasure
  }

  /// The bytes are not a receipt in its one spelling.
  case document(DocumentProblem)
  /// The checkpoint in the receipt is not a checkpoint.
  case checkpoint(LedgerTextProblem)
  /// The entry at this place of `entries` is not a ledger entry.
  case entry(Int, LedgerTextProblem)
  /// The entries are not a deletion and at most its certificate, of one number.
  case wrongEntries
  /// What the receipt says beside its entries is not what they say.
  case field(Field)
  /// The entry at this place of `entries` is not shown to be in the ledger.
  case entryNotProven(Int)
  /// The commitment is not shown to be one of the deletion's.
  case commitmentNotProven
  /// The masked blocks are not those the deletion's entry commits to.
  case maskedBlocks
  /// The replacements are not those the certificate commits to.
  case replacements
  /// The receipt is for another id.
  case otherID
  /// The trusted checkpoint is of another ledger.
  case otherLedger
  /// The trusted checkpoint has the receipt's size and another root: two ledgers under one name.
  case otherRoot
  /// The sizes differ and no consistency proof was given.
  case consistencyMissing
  /// The consistency proof does not lead from the smaller checkpoint to the larger.
  case inconsistent
}
