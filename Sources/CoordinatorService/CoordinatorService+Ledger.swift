import CoordinatorAPI
import CoordinatorCore
import Hashing
import Ledger
import Receipts
import ServiceSupport
import Storage
import Unlearning

extension CoordinatorService {
  /// The ledger's head as a text that an operator signs and others compare.
  func checkpoint() -> Checkpoint {
    loop.inspect { coordinator in
      let head = coordinator.state.ledger.head
      return Checkpoint(origin: coordinator.state.origin, size: head.size, root: head.root)
    }
  }

  /// The receipt of a deleted record, against the ledger as it is now.
  func receipt(ofID text: String) throws -> [UInt8] {
    guard let id = try? RecordID(text) else {
      throw APIFailure(400, "the id is empty, too long or holds control characters")
    }
    let tag = directory.tag(id)
    let found = loop.inspect { coordinator -> (Deletion, DeletionLedger, String, SaltRegister)? in
      let state = coordinator.state
      return state.deletedTags[tag].map {
        (state.deletion($0), state.ledger, state.origin, state.salts)
      }
    }
    guard let (deletion, ledger, origin, register) = found else {
      throw APIFailure(
        404, "no deletion of this id is known",
        try: "lethe lineage record ID tells whether it lives")
    }
    let salt = try salt(ofDeletion: deletion.number, register)
    guard case .deletion(let entry) = deletion.ledgerEntry,
      let index = ledger.leaves.firstIndex(of: .deletion(deletion.number))
    else { throw APIFailure(500, "the ledger has no entry of deletion \(deletion.number)") }
    var certificate: Receipt.Placed<CertificateEntry>?
    if case .certificate(let entry)? = deletion.certificateEntry,
      let index = ledger.leaves.firstIndex(of: .certificate(deletion.number))
    {
      certificate = Receipt.Placed(entry, at: index)
    }
    return try Receipt.make(
      origin: origin, ledger: ledger.tree, deletion: Receipt.Placed(entry, at: index),
      certificate: certificate, deletionSalt: salt, id: id.bytes,
      commitments: deletion.commitments, masked: deletion.masked,
      replacements: certificate == nil ? [] : deletion.replacements
    ).bytes
  }

  /// - Throws: What has become of the salt, as far as anybody can know.
  private func salt(ofDeletion number: UInt64, _ register: SaltRegister) throws -> Digest {
    let hint = "the ledger's own entry stays provable: lethe ledger prove"
    switch register.standing(ofDeletion: number, in: try SaltStore.read(directory.saltPath)) {
    case .present(let salt): return salt
    case .erased:
      throw APIFailure(
        410, "the salt of deletion \(number) was erased; its commitments cannot be opened",
        try: hint)
    case .lost:
      throw APIFailure(
        503,
        "the salt of deletion \(number) is lost: nobody had it erased, and the file salts has "
          + "not the one that the journal knows",
        try: "put the file salts back from a backup, and start again")
    case .unknown:
      throw APIFailure(
        410,
        "the salt of deletion \(number) is not in the file salts; whether it was erased or lost "
          + "is unknown, as the version that accepted it kept no account", try: hint)
    }
  }

  /// That the ledger has only grown since it had so many entries.
  func consistencyProof(from old: Int) throws -> [UInt8] {
    let (ledger, origin) = loop.inspect { ($0.state.ledger, $0.state.origin) }
    let size = ledger.leaves.count
    guard (0...size).contains(old) else {
      throw APIFailure(404, "the ledger has never had \(old) entries: it has \(size)")
    }
    return LedgerProof.consistency(origin: origin, ledger: ledger.tree, from: old).bytes
  }

  /// That the ledger holds an entry.
  func inclusionProof(of index: Int) throws -> [UInt8] {
    let (ledger, deletions, origin) = loop.inspect {
      ($0.state.ledger, $0.state.deletions, $0.state.origin)
    }
    let size = ledger.leaves.count
    guard (0..<size).contains(index) else {
      throw APIFailure(
        404, "the ledger has no entry \(index)", try: "its \(size) entries are numbered from 0")
    }
    let entry: LedgerEntry? =
      switch ledger.leaves[index] {
      case .deletion(let number): deletions[Int(number) - 1].ledgerEntry
      case .certificate(let number): deletions[Int(number) - 1].certificateEntry
      }
    return LedgerProof.inclusion(
      origin: origin, ledger: ledger.tree, index: index, entry: entry
    ).bytes
  }
}

extension RunState {
  /// The first line of every checkpoint: which ledger this is, whoever shows it.
  ///
  /// The run's name, and the first digits of a hash of the key that places its records, as two runs
  /// may share a name.
  package var origin: String {
    let safe = String(
      run.name.unicodeScalars.map { scalar in
        scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
          ? Character(scalar) : "-"
      })
    let mark = SHA256.hash(Array("lethe-origin-1".utf8) + run.partitionKey).hex.prefix(16)
    return "lethe/\(safe)/\(mark)"
  }
}
