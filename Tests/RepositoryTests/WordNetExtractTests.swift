import Foundation
import Hashing
import Testing

/// The committed data is what its README says.
@Suite("WordNet-10 extract") struct WordNetExtractTests {
  struct Record: Decodable {
    let id: String
    let text: String
    let label: String
    let split: String
  }

  static let folder = "Tests/Fixtures/wordnet10"
  static let labels = [
    "animal", "plant", "food", "person", "location", "body", "artifact", "substance", "time",
    "feeling",
  ]

  static func records() throws -> [Record] {
    try Repository.lines("\(folder)/records.jsonl").dropLast().map {
      try JSONDecoder().decode(Record.self, from: Data($0.utf8))
    }
  }

  @Test("is the file its script and its README pin")
  func pinned() throws {
    let digest = SHA256.hash(Array(try Repository.text("\(Self.folder)/records.jsonl").utf8)).hex
    #expect(try Repository.text("\(Self.folder)/README.md").contains(digest))
    #expect(try Repository.text("ops/make-wordnet-extract").contains("result_digest=\(digest)"))
  }

  @Test("has 200 records of each class, ids in order, no text twice")
  func shape() throws {
    let records = try Self.records()
    #expect(records.count == 2000)
    for label in Self.labels { #expect(records.count { $0.label == label } == 200, "\(label)") }
    #expect(zip(records, records.dropFirst()).allSatisfy { $0.id < $1.id })
    #expect(Set(records.map(\.text)).count == records.count)
    #expect(records.allSatisfy { !$0.text.isEmpty })
  }

  @Test("is split by the hash of the id")
  func split() throws {
    let records = try Self.records()
    for record in records {
      let first = SHA256.hash(Array(record.id.utf8)).bytes.prefix(4)
      let number = first.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      #expect(record.split == (number % 100 < 80 ? "train" : "test"), "\(record.id)")
    }
    #expect(records.count { $0.split == "test" } == 407)
  }
}
