import Datasets
import Foundation
import Testing

/// Messages as `Protocols/dataset.md` lists them.
@Suite("The data set document") struct DocumentTests {
  static func problem(_ field: DatasetField?, _ kind: DatasetProblem.Kind) -> DatasetProblem {
    DatasetProblem(line: 3, field: field, kind: kind)
  }

  static let problems = [
    problem(nil, .lineTooLong(byteCount: (1 << 20) + 1)),
    problem(nil, .blankLine),
    problem(nil, .notUTF8(atByte: 21)),
    problem(nil, .notAnObject),
    problem(nil, .invalidJSON(.expectedComma, atByte: 8)),
    problem(.id, .duplicateKey),
    problem(nil, .strayQuote(atByte: 3)),
    problem(nil, .strayCarriageReturn(atByte: 3)),
    problem(nil, .columnCount(found: 4, expected: 3)),
    problem(.label, .missing),
    problem(.text, .empty),
    problem(.id, .wrongType(expected: "a string or an integer")),
    problem(.text, .tooLong(byteCount: 70_000, limit: DatasetLimits.textByteCount)),
    problem(.id, .controlCharacter),
    problem(.deletionProbability, .notAProbability),
    problem(.split, .unknownSplit),
    problem(.label, .unknownLabel(suggestion: "positive")),
    problem(.label, .unknownLabel(suggestion: nil)),
    problem(.label, .notANumber),
    problem(.id, .duplicateID(firstLine: 1)),
  ]

  static let errors: [DatasetError] = [
    .noRecords(skippedCount: 0),
    .noRecords(skippedCount: 5),
    .columnMissing(.label),
    .columnRepeated(column: 4, firstColumn: 2),
    .header(DatasetProblem(line: 1, kind: .blankLine)),
    .unterminatedQuote(line: 3),
  ]

  @Test("lists every message word for word, and no others")
  func messages() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Protocols/dataset.md")
    let page = try String(contentsOf: file, encoding: .utf8)
    let listed = page.drop(to: "## Messages").split(separator: "\n").filter { $0.hasPrefix("| `") }
      .map { String($0.split(separator: "`")[1]) }
    #expect(listed == Self.problems.map(\.sentence) + Self.errors.flatMap(\.sentences))
  }
}

extension String {
  /// From the first line that starts with `heading` on.
  fileprivate func drop(to heading: String) -> Substring {
    range(of: heading).map { self[$0.lowerBound...] } ?? ""
  }
}
