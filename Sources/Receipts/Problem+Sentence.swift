import Ledger

extension ReceiptProblem {
  /// What is wrong, in one line for a person.
  package var sentence: String {
    switch self {
    case .document(let problem): problem.sentence("a receipt")
    case .checkpoint(let problem): "the receipt's checkpoint is malformed: \(problem.sentence)"
    case .entry(let position, let problem):
      "ledger entry \(position + 1) of the receipt is malformed: \(problem.sentence)"
    case .wrongEntries: "its ledger entries are not one deletion and at most that one's certificate"
    case .field(let field): "\(field.rawValue) is not what its ledger entries say"
    case .entryNotProven(let position):
      "ledger entry \(position + 1) of the receipt is not shown to be in the ledger"
    case .commitmentNotProven: "the id is not shown to be among those of the deletion"
    case .maskedBlocks: "the masked blocks are not those the ledger commits to"
    case .replacements: "the replacements are not those the ledger commits to"
    case .otherID: "the receipt is for another id"
    case .otherLedger: "the trusted checkpoint is of another ledger"
    case .otherRoot:
      "the trusted checkpoint has the receipt's size and another root: two readers were shown two "
        + "histories under one name"
    case .consistencyMissing:
      "the trusted checkpoint has another size; a consistency proof between the two is needed"
    case .inconsistent:
      "the consistency proof does not lead from the smaller checkpoint to the larger"
    }
  }
}

extension LedgerProofProblem {
  /// What is wrong, in one line for a person.
  package var sentence: String {
    switch self {
    case .document(let problem): problem.sentence("a ledger proof")
    case .checkpoint(let problem): "the proof's checkpoint is malformed: \(problem.sentence)"
    case .older(let problem): "the proof's older checkpoint is malformed: \(problem.sentence)"
    case .entry(let problem): "the proof's ledger entry is malformed: \(problem.sentence)"
    case .wrongFields: "it has the fields of another kind of proof"
    case .twoLedgers: "its two checkpoints are of two ledgers"
    case .otherLeaf: "its entry does not have the leaf hash beside it"
    case .notProven: "its hashes do not lead to the checkpoint's root"
    case .otherCheckpoint: "the trusted checkpoint is none of the proof's"
    }
  }
}

extension DocumentProblem {
  fileprivate func sentence(_ kind: String) -> String {
    switch self {
    case .tooLarge(let byteCount, let limit):
      "\(byteCount) bytes are over the limit of \(limit) for \(kind)"
    case .notReadable: "the file is not \(kind)"
    case .otherFormat: "the file is of another format or version than \(kind)"
    case .notCanonical: "the file is not spelled as \(kind) is: it was written or changed by hand"
    case .damaged: "the file was damaged or changed: its bytes do not have the SHA-256 in it"
    }
  }
}

extension LedgerTextProblem {
  /// What is wrong, in one line for a person.
  package var sentence: String {
    switch self {
    case .unknownKind: "the first line names no known kind of entry"
    case .line(let line, let expected): "line \(line) is not a well-formed \(expected)"
    case .trailing(let line): "line \(line) is one too many"
    }
  }
}
