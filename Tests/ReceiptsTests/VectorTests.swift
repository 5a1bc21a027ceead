import Foundation
import Hashing
import Ledger
import Receipts
import Testing

/// The files under `Protocols/vectors`, which the pages there and other implementations go by.
@Suite("Vectors") struct VectorTests {
  let example = Example()

  @Test("are what this build makes, byte for byte")
  func vectors() throws {
    for (name, bytes) in try example.vectors() {
      let file = Example.repository.appending(path: "Protocols/vectors/\(name)")
      if ProcessInfo.processInfo.environment["LETHE_RECORD_VECTORS"] == "1" {
        try Data(bytes).write(to: file)
      }
      #expect(try Example.vector(name) == bytes, "\(name)")
    }
  }

  @Test("hold as they lie there")
  func files() throws {
    let trusted = try Checkpoint(
      text: String(decoding: Example.vector("checkpoint-5.txt"), as: UTF8.self))
    let proof = try LedgerProof.verify(
      Example.vector("ledger-consistency.json"), checkpoint: trusted)
    _ = try LedgerProof.verify(Example.vector("ledger-inclusion.json"), checkpoint: trusted)
    let id = Example.ids[0]
    _ = try Receipt.verify(Example.vector("receipt-certified.json"), id: id, checkpoint: trusted)
    _ = try Receipt.verify(
      Example.vector("receipt-masked.json"), id: id, checkpoint: trusted,
      consistency: proof.hashes)
  }

  @Test("are what the ledger's page shows")
  func ledgerPage() throws {
    let page = try Page("ledger.md")
    let entry = try #require(page.example(beginning: "lethe-ledger-entry-1 deletion\n"))
    #expect(try LedgerEntry(text: entry) == .deletion(example.deletion.entry))
    #expect(page.text.contains("`\(example.entries[1].leafHash.hex)`"))
    #expect(
      page.example(beginning: "0/1/2 ") == example.masked.map { $0.line + "\n" }.joined())
    let checkpoint = try #require(page.example(beginning: "wordnet10\n"))
    #expect(try Checkpoint(text: checkpoint) == example.checkpoint(5))
  }

  @Test("are what the receipt's page shows")
  func receiptPage() throws {
    let page = try Page("receipt.md")
    let salt = IDCommitment.salt(deletionSalt: Example.salt, id: Example.ids[0])
    let commitment = IDCommitment.commitment(salt: salt, id: Example.ids[0])
    #expect(page.example(beginning: salt.hex) == "\(salt.hex)\n\(commitment.hex)\n")
    for line in page.text.split(separator: "\n") where line.hasPrefix("| `") {
      let field = line.split(separator: "`")[1]
      let text = String(decoding: try example.receipt(size: 5).bytes, as: UTF8.self)
      #expect(text.contains("\n  \"\(field)\" : "), "\(field)")
    }
  }
}

/// A page of `Protocols` and the examples set apart in it.
private struct Page {
  let text: String

  init(_ name: String) throws {
    text = try String(
      contentsOf: Example.repository.appending(path: "Protocols/\(name)"), encoding: .utf8)
  }

  func example(beginning start: String) -> String? {
    text.components(separatedBy: "```\n").first { $0.hasPrefix(start) }
  }
}
