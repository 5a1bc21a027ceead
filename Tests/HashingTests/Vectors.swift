import Foundation
import Hashing
import Testing

/// Published answers, as files under `Tests/Fixtures/vectors`; its README says whose they are.
enum Vectors {
  static func bytes(_ name: String) throws -> Data {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try Data(contentsOf: tests.appending(path: "Fixtures/vectors/\(name)"))
  }

  static func lines(_ name: String) throws -> [Substring] {
    String(decoding: try bytes(name), as: UTF8.self).split(whereSeparator: \.isNewline)
  }

  /// Cases of lines `name = value`, each of which ends with the line named `last`.
  static func cases(_ name: String, last: String) throws -> [Case] {
    var cases: [Case] = []
    var fields: [String: String] = [:]
    for line in try lines(name) where !line.hasPrefix("#") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { continue }
      let field = parts[0].trimmingCharacters(in: .whitespaces)
      fields[field] = parts[1].trimmingCharacters(in: .whitespaces)
      if field == last {
        cases.append(Case(fields: fields))
        fields = [:]
      }
    }
    return cases
  }

  struct Case {
    let fields: [String: String]

    func text(_ field: String) throws -> String {
      try #require(fields[field], "no field \(field) in \(fields)")
    }

    func number(_ field: String) throws -> Int {
      let digits = try text(field)
      return try #require(Int(digits))
    }

    func bytes(_ field: String) throws -> [UInt8] {
      let digits = try text(field)
      return try #require(Array(hex: digits))
    }
  }

  /// A file of Wycheproof; what only one algorithm has is optional.
  struct Wycheproof: Decodable {
    struct Test: Decodable {
      let tcId: Int
      let comment: String
      let result: String
      let key: String?
      let msg: String?
      let tag: String?
      let ikm: String?
      let salt: String?
      let info: String?
      let size: Int?
      let okm: String?

      func bytes(_ field: KeyPath<Test, String?>) throws -> [UInt8] {
        let digits = try #require(self[keyPath: field])
        return try #require(Array(hex: digits))
      }
    }

    struct Group: Decodable { let tests: [Test] }

    let testGroups: [Group]?
    let tests: [Test]?

    static func tests(_ name: String) throws -> [Test] {
      let file = try JSONDecoder().decode(Wycheproof.self, from: Vectors.bytes(name))
      return (file.tests ?? []) + (file.testGroups ?? []).flatMap(\.tests)
    }
  }

  /// The first bytes of the message that `lengths.tsv` is about.
  static func message(_ byteCount: Int) -> [UInt8] {
    (0..<byteCount).map { UInt8(truncatingIfNeeded: ($0 * $0 * 7 + $0 * 31 + 5) / 3) }
  }

  struct Length {
    let byteCount: Int
    let digest: String
    let check: String
  }

  static func lengths() throws -> [Length] {
    try lines("lengths.tsv").dropFirst().map { line in
      let parts = line.split(separator: "\t").map(String.init)
      try #require(parts.count == 3)
      return Length(byteCount: try #require(Int(parts[0])), digest: parts[1], check: parts[2])
    }
  }
}
