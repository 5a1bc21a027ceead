import Foundation
import Hashing
import Ledger
import Receipts

/// One byte, 1 to seal the document anew before it is verified, and the document.
func receiptSeeds() -> [[UInt8]] {
  let house = SampleHouse()
  return [false, true].flatMap { isCertified -> [[UInt8]] in
    let bytes = house.receipt(isCertified: isCertified).bytes
    return [[0] + bytes, [1] + bytes]
  }
}

func runReceipt(_ bytes: [UInt8]) {
  let file = document(Receipt.self, bytes)
  do {
    let verified = try Receipt.verify(file, id: SampleHouse.id)
    demand(verified.receipt.bytes == file, "a receipt with two spellings")
    demand(
      verified.checkpoint.root == SampleHouse().checkpoint.root || bytes.first == 1,
      "a receipt that the ledger never gave")
  } catch {
    demand(!error.sentence.isEmpty, "a problem that says nothing")
  }
  let trusted = SampleHouse().checkpoint
  _ = try? Receipt.verify(file, checkpoint: trusted, consistency: [trusted.root])
}

func ledgerProofSeeds() -> [[UInt8]] {
  SampleHouse().proofs.flatMap { [[0] + $0.bytes, [1] + $0.bytes] }
}

func runLedgerProof(_ bytes: [UInt8]) {
  let file = document(LedgerProof.self, bytes)
  do {
    let verified = try LedgerProof.verify(file)
    _ = try LedgerProof.verify(file, checkpoint: verified.checkpoint)
  } catch {
    demand(!error.sentence.isEmpty, "a problem that says nothing")
  }
}

/// The document of an input, sealed if the first byte says so and it can be read at all.
private func document<Document: SealedDocument>(_: Document.Type, _ bytes: [UInt8]) -> [UInt8] {
  let file = Array(bytes.dropFirst())
  guard bytes.first == 1,
    let read = try? JSONDecoder().decode(Document.self, from: Data(file))
  else { return file }
  return read.sealed().bytes
}

/// Checkpoints and the texts of ledger entries.
func ledgerTextSeeds() -> [[UInt8]] {
  let house = SampleHouse()
  return ([house.checkpoint.text] + house.entries.map(\.text)).map { Array($0.utf8) }
}

func runLedgerText(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  do {
    let checkpoint = try Checkpoint(text: text)
    demand(checkpoint.text.utf8.elementsEqual(text.utf8), "a checkpoint with two texts")
  } catch {
    demand(!error.sentence.isEmpty, "a problem that says nothing")
  }
  guard let entry = try? LedgerEntry(text: text) else { return }
  demand(entry.text.utf8.elementsEqual(text.utf8), "a ledger entry with two texts")
}

/// A small ledger: a deletion, another, and the certificate of the first.
private struct SampleHouse {
  static let id = Array("record 17".utf8)
  private static let salt = SHA256.hash("lethe fuzz salt".utf8)
  private static let start: Int64 = 1_767_225_600_001

  let masked = [
    MaskedBlock(
      place: BlockPlace(shard: 0, sequence: 1, stage: 2), commitment: SHA256.hash("old".utf8))
  ]
  let replacements = [
    ReplacementBlock(
      place: BlockPlace(shard: 0, sequence: 1, stage: 2), key: SHA256.hash("new".utf8),
      artifact: SHA256.hash("artifact".utf8))
  ]
  let commitments: [Digest]
  let deletion: DeletionEntry
  let certificate: CertificateEntry
  let entries: [LedgerEntry]
  let ledger: MerkleTree

  init() {
    commitments = [Self.id, Array("record 4".utf8)].map { id in
      IDCommitment.commitment(salt: IDCommitment.salt(deletionSalt: Self.salt, id: id), id: id)
    }
    deletion = DeletionEntry(
      number: 1, acceptedAt: Self.start, records: 2,
      commitments: MerkleTree.root(of: commitments.map(IDCommitment.leafHash)), blocksMasked: 1,
      masked: MerkleTree.root(of: masked.map(\.leafHash)))
    certificate = CertificateEntry(
      number: 1, maskedAt: Self.start, purgedAt: Self.start + 1, repairedAt: Self.start + 2,
      certifiedAt: Self.start + 3,
      erasure: [ErasureClaim(location: "slice files", level: .unlinked)], replacements: 1,
      replacementsRoot: MerkleTree.root(of: replacements.map(\.leafHash)))
    entries = [
      .deletion(deletion),
      .deletion(
        DeletionEntry(
          number: 2, acceptedAt: Self.start, records: 0, commitments: MerkleTree.emptyRoot,
          blocksMasked: 0, masked: MerkleTree.emptyRoot)),
      .certificate(certificate),
    ]
    ledger = MerkleTree(entries.map(\.leafHash))
  }

  var checkpoint: Checkpoint { Checkpoint(origin: "house", size: 3, root: ledger.root) }

  func receipt(isCertified: Bool) -> Receipt {
    do {
      return try Receipt.make(
        origin: "house", ledger: ledger, deletion: Receipt.Placed(deletion, at: 0),
        certificate: isCertified ? Receipt.Placed(certificate, at: 2) : nil,
        deletionSalt: Self.salt, id: Self.id, commitments: commitments, masked: masked,
        replacements: isCertified ? replacements : [])
    } catch {
      fatalError("the sample holds: \(error)")
    }
  }

  var proofs: [LedgerProof] {
    [
      .consistency(origin: "house", ledger: ledger, from: 1),
      .consistency(origin: "house", ledger: ledger, from: 2),
      .inclusion(origin: "house", ledger: ledger, index: 2, entry: entries[2]),
      .inclusion(origin: "house", ledger: ledger, index: 1, entry: nil),
    ]
  }
}
