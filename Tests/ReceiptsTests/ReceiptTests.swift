import Foundation
import Hashing
import Ledger
import Receipts
import Testing

@Suite("Receipt") struct ReceiptTests {
  let example = Example()

  @Test("holds for its own id, at the moment of masking and when certified", arguments: [3, 4, 5])
  func holds(size: Int) throws {
    for id in Example.ids {
      let receipt = try example.receipt(for: id, size: size)
      let verified = try Receipt.verify(
        receipt.bytes, id: id, checkpoint: example.checkpoint(size))
      #expect(verified.receipt == receipt)
      #expect(verified.deletion == example.deletion.entry)
      #expect(verified.certificate == (size == 5 ? example.certificate.entry : nil))
      #expect(verified.idWasChecked && verified.checkpointWasTrusted)
      #expect(receipt.state == (size == 5 ? .certified : .masked))
    }
  }

  @Test("tells times as people read them, to the millisecond")
  func times() throws {
    let times = try example.receipt(size: 5).times
    #expect(times.accepted == "2026-01-01T00:02:00.001Z")
    #expect(times.certified == "2026-01-01T00:05:05.401Z")
    #expect(try example.receipt(size: 3).times.certified == nil)
  }

  @Test("holds no id, in no spelling")
  func secrecy() throws {
    let text = String(decoding: try example.receipt(size: 5).bytes, as: UTF8.self)
    for id in Example.ids {
      #expect(!text.contains(String(decoding: id, as: UTF8.self)))
      #expect(!text.contains(id.hex) && !text.contains(Data(id).base64EncodedString()))
      #expect(!text.contains(SHA256.hash(id).hex))
    }
    // The deletion's salt would open the other ids of the deletion to guesses.
    #expect(!text.contains(Example.salt.hex))
  }

  @Test("is refused with any one bit of its file changed", arguments: [3, 5])
  func bits(size: Int) throws {
    var bytes = try example.receipt(size: size).bytes
    for place in bytes.indices {
      for bit in 0..<8 {
        bytes[place] ^= 1 << UInt8(bit)
        try #require(throws: ReceiptProblem.self) { try Receipt.verify(bytes) }
        bytes[place] ^= 1 << UInt8(bit)
      }
    }
    _ = try Receipt.verify(bytes)
  }

  @Test("is refused with any one bit changed, even under a digest made to fit", arguments: [3, 5])
  func resealedBits(size: Int) throws {
    let receipt = try example.receipt(size: size)
    let decoder = JSONDecoder()
    var bytes = receipt.bytes
    var resealed = 0
    for place in bytes.indices {
      for bit in 0..<8 {
        bytes[place] ^= 1 << UInt8(bit)
        defer { bytes[place] ^= 1 << UInt8(bit) }
        guard let changed = try? decoder.decode(Receipt.self, from: Data(bytes)).sealed(),
          changed.bytes != receipt.bytes
        else { continue }
        resealed += 1
        try #require(throws: ReceiptProblem.self, "bit \(bit) of byte \(place)") {
          try Receipt.verify(
            changed.bytes, id: Example.ids[0], checkpoint: example.checkpoint(size))
        }
      }
    }
    // The loop has to have got past the digest, or it has shown nothing.
    #expect(resealed > 3000)
  }

  struct Change: Sendable, CustomTestStringConvertible {
    let problem: ReceiptProblem
    let because: String
    let apply: @Sendable (inout Receipt) -> Void

    init(
      _ problem: ReceiptProblem, _ because: String,
      _ apply: @escaping @Sendable (inout Receipt) -> Void
    ) {
      (self.problem, self.because, self.apply) = (problem, because, apply)
    }

    var testDescription: String { because }
  }

  static let other = SHA256.hash("other".utf8)
  static let changes = [
    Change(.document(.otherFormat), "a later version") { $0.format = "lethe-receipt-2" },
    Change(.checkpoint(.trailing(line: 4)), "a line under the checkpoint") {
      $0.checkpoint += "extension\n"
    },
    Change(.entry(1, .line(2, expected: "number")), "an entry in another spelling") {
      $0.entries[1].text.replace("number 2", with: "number 02")
    },
    Change(.wrongEntries, "no entry") { $0.entries = [] },
    Change(.wrongEntries, "only the certificate") { $0.entries.removeFirst() },
    Change(.wrongEntries, "entries the other way round") { $0.entries.swapAt(0, 1) },
    Change(.wrongEntries, "a certificate twice") { $0.entries.append($0.entries[1]) },
    Change(.wrongEntries, "a certificate of another deletion") {
      $0.entries[1].text = Example().entries[2].text
    },
    Change(.field(.run), "another run") { $0.run = "another" },
    // U+212A, the Kelvin sign, equals K in Swift.
    Change(.field(.run), "a run that only looks like it") {
      $0.checkpoint.replace("wordnet10", with: "K")
      $0.run = "\u{212a}"
    },
    Change(.field(.deletion), "another number") { $0.deletion = 3 },
    Change(.field(.state), "a state it has not") { $0.state = .masked },
    Change(.field(.times), "another time") { $0.times.purged = $0.times.accepted },
    Change(.field(.times), "a time left out") { $0.times.repaired = nil },
    Change(.field(.erasure), "a better level") { $0.erasure[0].level = "E3" },
    Change(.field(.erasure), "a place left out") { $0.erasure.removeLast() },
    Change(.entryNotProven(0), "another index") { $0.entries[0].index = 0 },
    Change(.entryNotProven(1), "a proof too short") { $0.entries[1].proof.removeLast() },
    Change(.entryNotProven(1), "an entry the ledger does not hold") {
      $0.entries[1].text.replace("slice files", with: "other files")
      $0.erasure[0].location = "other files"
    },
    Change(.commitmentNotProven, "another commitment") { $0.id.commitment = other },
    Change(.commitmentNotProven, "an index past the end") { $0.id.index = .max },
    Change(.maskedBlocks, "a masked block left out") { $0.masked.removeLast() },
    Change(.maskedBlocks, "masked blocks in another order") { $0.masked.reverse() },
    Change(.maskedBlocks, "another place") { $0.masked[0].shard = 1 },
    Change(.replacements, "another artifact") { $0.replacements[0].artifact = other },
    Change(.replacements, "a replacement twice") { $0.replacements.append($0.replacements[0]) },
    Change(.otherID, "another salt") { $0.id.salt = other },
  ]

  @Test("says what is wrong with it", arguments: changes)
  func refuses(change: Change) throws {
    var receipt = try example.receipt(size: 5)
    change.apply(&receipt)
    #expect(throws: change.problem) {
      try Receipt.verify(receipt.sealed().bytes, id: Example.ids[0])
    }
  }

  @Test("says no to replacements before there is a certificate")
  func early() throws {
    var receipt = try example.receipt(size: 3)
    receipt.replacements = try example.receipt(size: 5).replacements
    #expect(throws: ReceiptProblem.replacements) { try Receipt.verify(receipt.sealed().bytes) }
  }

  @Test("is for one id")
  func otherID() throws {
    let bytes = try example.receipt(size: 5).bytes
    #expect(throws: ReceiptProblem.otherID) { try Receipt.verify(bytes, id: Example.ids[1]) }
    #expect(throws: ReceiptProblem.commitmentNotProven) {
      try example.receipt(for: Array("record 18".utf8), size: 5)
    }
  }

  @Test("is refused in any other spelling")
  func spelling() throws {
    let bytes = try example.receipt(size: 5).bytes
    let text = String(decoding: bytes, as: UTF8.self)
    func problem(_ text: String) -> ReceiptProblem? {
      do throws(ReceiptProblem) {
        _ = try Receipt.verify(Array(text.utf8))
        return nil
      } catch { return error }
    }
    #expect(problem(text) == nil)
    #expect(problem(text + "\n") == .document(.notCanonical))
    #expect(problem(String(text.dropLast())) == .document(.notCanonical))
    #expect(problem(text.replacing(" : ", with: ": ")) == .document(.notCanonical))
    #expect(
      problem(text.replacing("\"deletion\" : 2", with: "\"deletion\" : 2.0"))
        == .document(.notCanonical))
    #expect(
      problem(text.replacing("\"run\"", with: "\"more\" : 1,\n  \"run\""))
        == .document(.notCanonical))
    #expect(problem(text.replacing("\"run\"", with: "\"ran\"")) == .document(.notReadable))
    #expect(problem("") == .document(.notReadable))
    #expect(problem("{}") == .document(.notReadable))
    let digest = try #require(try example.receipt(size: 5).sha256).hex
    #expect(problem(text.replacing(digest, with: Self.other.hex)) == .document(.damaged))
  }

  @Test("is refused unread when it is larger than any receipt")
  func limit() {
    let count = Receipt.byteLimit + 1
    #expect(
      throws: ReceiptProblem.document(.tooLarge(byteCount: count, limit: Receipt.byteLimit))
    ) { try Receipt.verify([UInt8](repeating: 0x20, count: count)) }
  }

  @Test("is held to a checkpoint the reader trusts")
  func trusted() throws {
    let (early, late) = (try example.receipt(size: 3).bytes, try example.receipt(size: 5).bytes)
    let hashes = example.ledger(5).consistencyProof(from: 3, toFirst: 5)
    let (three, five) = (example.checkpoint(3), example.checkpoint(5))
    // The ledger may have grown since the receipt, or since the reader last looked.
    _ = try Receipt.verify(early, checkpoint: five, consistency: hashes)
    _ = try Receipt.verify(late, checkpoint: three, consistency: hashes)
    func expect(_ problem: ReceiptProblem, _ trusted: Checkpoint, _ hashes: [Digest]?) {
      #expect(throws: problem) {
        try Receipt.verify(late, checkpoint: trusted, consistency: hashes)
      }
    }
    expect(.consistencyMissing, three, nil)
    expect(.inconsistent, three, [])
    expect(.inconsistent, Checkpoint(origin: Example.origin, size: 3, root: five.root), hashes)
    expect(.otherRoot, Checkpoint(origin: Example.origin, size: 5, root: three.root), hashes)
    expect(.otherLedger, Checkpoint(origin: "another", size: 5, root: five.root), nil)
  }

  @Test("makes nothing from parts that do not fit")
  func misfits() throws {
    func make(_ masked: [MaskedBlock], at index: Int) throws(ReceiptProblem) {
      _ = try Receipt.make(
        origin: Example.origin, ledger: example.ledger(3),
        deletion: Receipt.Placed(example.deletion.entry, at: index), certificate: nil,
        deletionSalt: Example.salt, id: Example.ids[0], commitments: example.commitments,
        masked: masked, replacements: [])
    }
    try make(example.masked, at: 1)
    #expect(throws: ReceiptProblem.maskedBlocks) { try make([], at: 1) }
    #expect(throws: ReceiptProblem.entryNotProven(0)) { try make(example.masked, at: 2) }
    #expect(throws: ReceiptProblem.entryNotProven(0)) { try make(example.masked, at: 3) }
  }

  @Test("holds for deletions of any shape, in a ledger of any size", arguments: UInt64(0)..<24)
  func random(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    func digest() -> Digest { SHA256.hash("\(random.next())".utf8) }
    let ids = (0..<1 + below(20)).map { Array("id \($0) of \(seed)".utf8) }
    let salt = digest()
    let commitments = ids.map { id in
      IDCommitment.commitment(salt: IDCommitment.salt(deletionSalt: salt, id: id), id: id)
    }.sorted()
    let places = (0..<below(12)).map { BlockPlace(shard: $0, sequence: below(9), stage: below(9)) }
    let masked = places.map { MaskedBlock(place: $0, commitment: digest()) }
    let replacements = places.map { ReplacementBlock(place: $0, key: digest(), artifact: digest()) }
    func time() -> Int64 { Int64(random.next() % UInt64(LedgerEntry.times.upperBound)) }
    let deletion = DeletionEntry(
      number: random.next(), acceptedAt: time(), records: ids.count,
      commitments: MerkleTree.root(of: commitments.map(IDCommitment.leafHash)),
      blocksMasked: masked.count, masked: MerkleTree.root(of: masked.map(\.leafHash)))
    let certificate = CertificateEntry(
      number: deletion.number, maskedAt: time(), purgedAt: time(), repairedAt: time(),
      certifiedAt: time(),
      erasure: (0..<below(4)).map {
        ErasureClaim(location: "\"place\" \\ /\($0)", level: .allCases[below(4)])
      }, replacements: replacements.count,
      replacementsRoot: MerkleTree.root(of: replacements.map(\.leafHash)))

    var leaves = (0..<2 + below(40)).map { _ in digest() }
    let place = below(leaves.count - 1)
    let later = place + 1 + below(leaves.count - place - 1)
    leaves[place] = LedgerEntry.deletion(deletion).leafHash
    leaves[later] = LedgerEntry.certificate(certificate).leafHash
    let ledger = MerkleTree(leaves)
    let origin = "run \"\(seed)\" / \\"
    for id in ids {
      let receipt = try Receipt.make(
        origin: origin, ledger: ledger, deletion: Receipt.Placed(deletion, at: place),
        certificate: Receipt.Placed(certificate, at: later), deletionSalt: salt, id: id,
        commitments: commitments, masked: masked, replacements: replacements)
      var grown = ledger
      for _ in 0..<below(5) { grown.append(digest()) }
      let verified = try Receipt.verify(
        receipt.bytes, id: id,
        checkpoint: Checkpoint(origin: origin, size: UInt64(grown.count), root: grown.root),
        consistency: grown.consistencyProof(from: ledger.count, toFirst: grown.count))
      #expect(verified.receipt == receipt && verified.certificate == certificate)
    }
  }
}
