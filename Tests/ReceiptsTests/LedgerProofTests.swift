import Foundation
import Hashing
import Ledger
import Receipts
import Testing

@Suite("Ledger proof") struct LedgerProofTests {
  static let example = Example()
  static let consistency = LedgerProof.consistency(
    origin: Example.origin, ledger: example.ledger(5), from: 3)
  static let inclusion = LedgerProof.inclusion(
    origin: Example.origin, ledger: example.ledger(5), index: 2, entry: example.entries[2])

  @Test("shows that the ledger has only grown, from every size", arguments: 0...5)
  func grows(size: Int) throws {
    let proof = LedgerProof.consistency(
      origin: Example.origin, ledger: Self.example.ledger(5), from: size)
    let older = Self.example.checkpoint(size)
    let verified = try LedgerProof.verify(proof.bytes, checkpoint: older)
    #expect(verified.claim == .grownFrom(older))
    #expect(verified.checkpoint == Self.example.checkpoint(5))
    _ = try LedgerProof.verify(proof.bytes, checkpoint: Self.example.checkpoint(5))
  }

  @Test("shows that the ledger holds an entry, also one whose text is gone", arguments: 0..<5)
  func holds(index: Int) throws {
    for entry in [Self.example.entries[index], nil] {
      let proof = LedgerProof.inclusion(
        origin: Example.origin, ledger: Self.example.ledger(5), index: index, entry: entry)
      let verified = try LedgerProof.verify(proof.bytes, checkpoint: Self.example.checkpoint(5))
      let leaf = Self.example.entries[index].leafHash
      #expect(verified.claim == .holds(index: UInt64(index), leaf: leaf, entry: entry))
    }
  }

  @Test("is refused with any one bit of its file changed", arguments: [consistency, inclusion])
  func bits(proof: LedgerProof) throws {
    let decoder = JSONDecoder()
    var bytes = proof.bytes
    for place in bytes.indices {
      for bit in 0..<8 {
        bytes[place] ^= 1 << UInt8(bit)
        defer { bytes[place] ^= 1 << UInt8(bit) }
        try #require(throws: LedgerProofProblem.self) { try LedgerProof.verify(bytes) }
        // The same once more under a digest made to fit.
        guard let changed = try? decoder.decode(LedgerProof.self, from: Data(bytes)).sealed(),
          changed.bytes != proof.bytes
        else { continue }
        try #require(throws: LedgerProofProblem.self, "bit \(bit) of byte \(place)") {
          _ = try LedgerProof.verify(changed.bytes, checkpoint: Self.example.checkpoint(5))
          // An older checkpoint is claimed by the proof; its reader holds it to their own.
          _ = try LedgerProof.verify(changed.bytes, checkpoint: Self.example.checkpoint(3))
        }
      }
    }
    _ = try LedgerProof.verify(bytes)
  }

  @Test("says what is wrong with it")
  func problems() throws {
    func expect(
      _ problem: LedgerProofProblem, _ proof: LedgerProof, _ apply: (inout LedgerProof) -> Void
    ) {
      var changed = proof
      apply(&changed)
      #expect(throws: problem) {
        try LedgerProof.verify(changed.sealed().bytes, checkpoint: Self.example.checkpoint(5))
      }
    }
    expect(.document(.otherFormat), Self.inclusion) { $0.format = "lethe-receipt-1" }
    expect(.checkpoint(.line(1, expected: "origin")), Self.inclusion) { $0.checkpoint = "" }
    expect(.older(.line(1, expected: "origin")), Self.consistency) { $0.older = "" }
    expect(.entry(.unknownKind), Self.inclusion) { $0.entry?.text = "text\n" }
    expect(.wrongFields, Self.consistency) { $0.older = nil }
    expect(.wrongFields, Self.consistency) { $0.kind = .inclusion }
    expect(.wrongFields, Self.inclusion) { $0.kind = .consistency }
    expect(.wrongFields, Self.inclusion) { $0.older = $0.checkpoint }
    expect(.twoLedgers, Self.consistency) { $0.older?.replace("wordnet10", with: "wordnet11") }
    expect(.otherLeaf, Self.inclusion) { $0.entry?.text = Self.example.entries[1].text }
    expect(.notProven, Self.inclusion) { $0.entry?.index = 3 }
    expect(.notProven, Self.inclusion) { $0.hashes.removeLast() }
    expect(.notProven, Self.consistency) { $0.hashes.reverse() }
    expect(.otherCheckpoint, Self.consistency) {
      $0.checkpoint = Self.example.checkpoint(3).text
      $0.hashes = []
    }
  }
}
