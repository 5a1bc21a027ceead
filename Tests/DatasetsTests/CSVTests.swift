import Datasets
import Testing
import Unlearning

@Suite("CSV data sets") struct CSVTests {
  static func read(_ text: String, skipsInvalid: Bool = false) throws(DatasetError)
    -> DatasetContents
  {
    try DatasetReader(labels: .classes(["yes", "no"]), skipsInvalid: skipsInvalid).read(
      Array(text.utf8), .csv)
  }

  @Test("reads quotes, commas, line ends and doubled quotes")
  func quoting() throws {
    let found = try Self.read(
      "text,id,label,note,deletionProbability\r\n"
        + "\"a, \"\"b\"\"\r\nc\n\",1,yes,,0.5\r\n" + " spaces kept ,2,no,\"\",\n" + "é,3,no,x,1")
    #expect(found.training.map(\.text) == ["a, \"b\"\r\nc\n", " spaces kept ", "é"])
    #expect(found.training.map(\.id.text) == ["1", "2", "3"])
    #expect(found.training.map(\.deletionProbability) == [0.5, nil, 1])
    #expect(found.notes == [.unknownFieldsIgnored(lineCount: 3)])
  }

  @Test("takes an empty cell as an absent value")
  func absent() throws {
    let record = try #require(
      try Self.read("id,text,text_pair,label,subject,split,deletionProbability\n1,x,,no,,,\n")
        .training.first)
    #expect(record == Record(id: try RecordID("1"), text: "x", label: "no"))
  }

  struct Row: Sendable {
    let rows: String
    let problem: DatasetProblem

    init(_ rows: String, _ line: Int, _ field: DatasetField? = nil, _ kind: DatasetProblem.Kind) {
      self.rows = rows
      problem = DatasetProblem(line: line, field: field, kind: kind)
    }
  }

  static let rows = [
    Row("1,a\"b,yes", 2, nil, .strayQuote(atByte: 3)),
    Row("1,\"a\"b,yes", 2, nil, .strayQuote(atByte: 5)),
    Row("1,a\rb,yes", 2, nil, .strayCarriageReturn(atByte: 3)),
    Row("1,a", 2, nil, .columnCount(found: 2, expected: 3)),
    Row("1,a,b,yes", 2, nil, .columnCount(found: 4, expected: 3)),
    Row("", 2, nil, .blankLine),
    Row("1,,yes", 2, .text, .empty),
    Row(",a,yes", 2, .id, .empty),
    Row("1,a,", 2, .label, .empty),
    Row("1,a,yess", 2, .label, .unknownLabel(suggestion: "yes")),
    Row("8,\"a\n\nb\",yes\n8,a,no", 5, .id, .duplicateID(firstLine: 2)),
    Row("8,\"a\nb\",maybe", 2, .label, .unknownLabel(suggestion: nil)),
    Row("\"1\n\",a,no", 2, .id, .controlCharacter),
    Row(
      "1,\"" + String(repeating: "x\n", count: 1 << 19) + "\",no", 2, nil,
      .lineTooLong(byteCount: (1 << 20) + 7)),
  ]

  @Test("names the line a row starts on, and goes on behind it", arguments: rows)
  func mistakes(_ row: Row) throws {
    let text = "id,text,label\n" + row.rows + "\n9,last,no\n"
    #expect(throws: DatasetError.malformed(first: [row.problem], totalCount: 1)) {
      try Self.read(text)
    }
    let found = try Self.read(text, skipsInvalid: true)
    #expect(found.skipped == [row.problem])
    #expect(found.training.last?.text == "last")
  }

  static let refusals: [(String, DatasetError)] = [
    ("", .noRecords(skippedCount: 0)),
    ("id,text,label\n", .noRecords(skippedCount: 0)),
    ("id,text,label", .noRecords(skippedCount: 0)),
    ("id,text\n1,a", .columnMissing(.label)),
    ("ID,text,label\n1,a,yes", .columnMissing(.id)),
    ("id,text,label,text\n1,a,yes,b", .columnRepeated(column: 4, firstColumn: 2)),
    ("id,text,label,x,x\n", .columnRepeated(column: 5, firstColumn: 4)),
    ("\nid,text,label\n1,a,yes", .header(DatasetProblem(line: 1, kind: .blankLine))),
    (
      "id,te\"xt,label\n1,a,yes",
      .header(DatasetProblem(line: 1, kind: .strayQuote(atByte: 5)))
    ),
    ("id,text,label\n1,\"a,yes\n2,b,no\n", .unterminatedQuote(line: 2)),
    ("id,text,\"label\n1,a,yes", .unterminatedQuote(line: 1)),
  ]

  @Test("refuses a file whose rows cannot be trusted, skipping or not", arguments: refusals)
  func refuses(text: String, error: DatasetError) {
    for skips in [false, true] {
      #expect(throws: error) { try Self.read(text, skipsInvalid: skips) }
    }
    #expect(!error.sentences.isEmpty)
  }

  @Test("ends lines with LF or CRLF, and with nothing at the end of the file")
  func lineEnds() throws {
    let rows = ["id,text,label", "1,a,yes", "2,\"b\",no"]
    let expected = try Self.read(rows.joined(separator: "\n"))
    #expect(expected.training.count == 2)
    for text in [
      rows.joined(separator: "\n") + "\n", rows.joined(separator: "\r\n"),
      rows.joined(separator: "\r\n") + "\r\n", rows.joined(separator: "\n") + "\n\n",
      "\u{feff}" + rows.joined(separator: "\r\n"),
    ] {
      #expect(try Self.read(text) == expected)
    }
  }
}
