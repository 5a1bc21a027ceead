import Hashing
import Ledger
import Testing

@Suite("Checkpoint text") struct CheckpointTests {
  static let checkpoint = Checkpoint(
    origin: "wordnet10", size: 20_852_163, root: SHA256.hash("root".utf8))

  @Test("is three lines")
  func text() throws {
    #expect(
      Self.checkpoint.text
        == "wordnet10\n20852163\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n")
    #expect(try Checkpoint(text: Self.checkpoint.text) == Self.checkpoint)
  }

  static let root = "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I="
  static let refused: [(String, LedgerTextProblem, String)] = [
    ("", .line(1, expected: "origin"), "nothing"),
    ("\n1\n\(root)\n", .line(1, expected: "origin"), "no origin"),
    (" a\n1\n\(root)\n", .line(1, expected: "origin"), "a space before the origin"),
    ("a\r\n1\n\(root)\n", .line(1, expected: "origin"), "a carriage return"),
    ("é\n1\n\(root)\n", .line(1, expected: "origin"), "a letter outside ASCII"),
    ("a\n\n\(root)\n", .line(2, expected: "size"), "no size"),
    ("a\n01\n\(root)\n", .line(2, expected: "size"), "a leading zero"),
    ("a\n+1\n\(root)\n", .line(2, expected: "size"), "a sign"),
    ("a\n1 \n\(root)\n", .line(2, expected: "size"), "a space after the size"),
    ("a\n18446744073709551616\n\(root)\n", .line(2, expected: "size"), "past 64 bits"),
    ("a\n1\n", .line(3, expected: "root"), "no root"),
    ("a\n1\n\(root)", .line(3, expected: "root"), "no line feed at the end"),
    ("a\n1\n\(root.dropLast())\n", .line(3, expected: "root"), "no padding"),
    ("a\n1\n\(root.dropLast(2))J=\n", .line(3, expected: "root"), "stray bits in the last digit"),
    ("a\n1\nAAAA\n", .line(3, expected: "root"), "three bytes"),
    ("a\n1\n\(root.dropLast(4))_7I=\n", .line(3, expected: "root"), "the URL alphabet"),
    ("a\n1\n\(root)\n\n", .trailing(line: 4), "an empty line"),
    ("a\n1\n\(root)\nextension\n", .trailing(line: 4), "an extension"),
  ]

  @Test("refuses whatever it would not write", arguments: refused)
  func refuses(text: String, problem: LedgerTextProblem, because: String) {
    #expect(throws: problem, "\(because)") { try Checkpoint(text: text) }
  }

  @Test("keeps every origin, size and root", arguments: UInt64(0)..<64)
  func roundTrip(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let origin = String(
      decoding: (0..<Int.random(in: 1...255, using: &random)).map { _ in
        UInt8.random(in: 0x21...0x7e, using: &random)
      }, as: UTF8.self)
    let checkpoint = Checkpoint(
      origin: origin, size: random.next() >> UInt64(seed), root: .random(using: &random))
    #expect(try Checkpoint(text: checkpoint.text) == checkpoint)
  }
}

@Suite("Ledger entry text") struct EntryTests {
  static let entries: [LedgerEntry] = [
    .deletion(
      DeletionEntry(
        number: 7, acceptedAt: 1_767_225_600_123, records: 3, commitments: SHA256.hash([1]),
        blocksMasked: 2, masked: SHA256.hash([2]))),
    .certificate(
      CertificateEntry(
        number: 7, maskedAt: 1_767_225_600_123, purgedAt: 1_767_225_601_000, repairedAt: 0,
        certifiedAt: LedgerEntry.times.upperBound,
        erasure: [
          ErasureClaim(location: "slice files", level: .unlinked),
          ErasureClaim(location: "backups", level: .unreachable),
        ], replacements: 2, replacementsRoot: SHA256.hash([3]))),
    .certificate(
      CertificateEntry(
        number: 0, maskedAt: 0, purgedAt: 0, repairedAt: 0, certifiedAt: 0, erasure: [],
        replacements: 0, replacementsRoot: MerkleTree.emptyRoot)),
  ]

  @Test("is lines of a key and a value")
  func text() {
    #expect(
      Self.entries[0].text == """
        lethe-ledger-entry-1 deletion
        number 7
        accepted-at 1767225600123
        records 3
        commitments 4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a
        blocks-masked 2
        masked dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986

        """)
    #expect(
      Self.entries[1].text == """
        lethe-ledger-entry-1 certificate
        number 7
        masked-at 1767225600123
        purged-at 1767225601000
        repaired-at 0
        certified-at 253402300799999
        erasure E1 slice files
        erasure E0 backups
        replacements 2
        replacements-root 084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5

        """)
  }

  @Test("has one text for a value and one value for a text", arguments: entries)
  func roundTrip(entry: LedgerEntry) throws {
    #expect(try LedgerEntry(text: entry.text) == entry)
    #expect(entry.leafHash == MerkleTree.leafHash(entry.bytes))
  }

  @Test("reads no text in a second way, one byte changed or taken away", arguments: entries)
  func changes(entry: LedgerEntry) throws {
    let bytes = entry.bytes
    for place in bytes.indices {
      for bit in 0..<8 {
        var changed = bytes
        changed[place] ^= 1 << UInt8(bit)
        guard let text = String(validating: changed, as: UTF8.self) else { continue }
        if let read = try? LedgerEntry(text: text) {
          try #require(read != entry && read.bytes == changed)
        }
      }
      var shorter = bytes
      shorter.remove(at: place)
      if let read = try? LedgerEntry(text: String(decoding: shorter, as: UTF8.self)) {
        try #require(read != entry && read.bytes == shorter)
      }
    }
  }

  static let text = entries[1].text
  static let refused: [(String, LedgerTextProblem, String)] = [
    ("", .line(1, expected: "kind"), "nothing"),
    (text.replacing("entry-1", with: "entry-2"), .unknownKind, "another version"),
    (text + "\n", .trailing(line: 11), "an empty line at the end"),
    (text.replacing("number 7", with: "number 07"), .line(2, expected: "number"), "a leading zero"),
    (text.replacing("number 7", with: "number -7"), .line(2, expected: "number"), "a sign"),
    (text.replacing("number 7", with: "number  7"), .line(2, expected: "number"), "two spaces"),
    (
      text.replacing("253402300799999", with: "253402300800000"),
      .line(6, expected: "certified-at"), "the year 10000"
    ),
    (text.replacing("E1 slice", with: "E4 slice"), .line(7, expected: "erasure"), "no such level"),
    (text.replacing("E0 backups", with: "E0"), .line(8, expected: "erasure"), "no location"),
    (text.replacing("E0 backups", with: "E0  backups"), .line(8, expected: "erasure"), "a space"),
    (
      text.replacing("084f", with: "084F"), .line(10, expected: "replacements-root"), "capitals"
    ),
    (text.replacing("\n", with: "\r\n"), .line(1, expected: "kind"), "carriage returns"),
  ]

  @Test("refuses whatever it would not write", arguments: refused)
  func refuses(text: String, problem: LedgerTextProblem, because: String) {
    #expect(throws: problem, "\(because)") { try LedgerEntry(text: text) }
  }
}

@Suite("Commitments") struct CommitmentTests {
  let salt = SHA256.hash("deletion salt".utf8)

  @Test("open with the id and with nothing else")
  func opens() {
    let salts = ["a", "b"].map { IDCommitment.salt(deletionSalt: salt, id: Array($0.utf8)) }
    #expect(salts[0] != salts[1])
    #expect(
      IDCommitment.commitment(salt: salts[0], id: [0x61])
        != IDCommitment.commitment(salt: salts[0], id: [0x62]))
  }

  @Test("are the HMACs that the page draws")
  func drawn() {
    let idSalt = HMAC.authenticate(key: salt.bytes, Array("lethe-id-salt-1id".utf8))
    #expect(IDCommitment.salt(deletionSalt: salt, id: Array("id".utf8)) == idSalt)
    #expect(
      IDCommitment.commitment(salt: idSalt, id: Array("id".utf8))
        == HMAC.authenticate(key: idSalt.bytes, Array("id".utf8)))
    let blockSalt = HMAC.authenticate(key: salt.bytes, Array("lethe-block-salt-1".utf8))
    let key = SHA256.hash([9])
    #expect(
      BlockCommitment.commitment(deletionSalt: salt, key: key)
        == HMAC.authenticate(key: blockSalt.bytes, key.bytes))
  }

  @Test("stand in lists as lines")
  func lines() {
    let place = BlockPlace(shard: 1, sequence: 2, stage: 3)
    let (first, second) = (SHA256.hash([1]), SHA256.hash([2]))
    #expect(MaskedBlock(place: place, commitment: first).line == "1/2/3 \(first.hex)")
    #expect(
      ReplacementBlock(place: place, key: first, artifact: second).line
        == "1/2/3 \(first.hex) \(second.hex)")
  }
}

extension Digest {
  static func random(using random: inout SeededGenerator) -> Digest {
    Digest((0..<byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) })!
  }
}
