import Datasets
import Testing
import Unlearning

@Suite("JSONL data sets") struct JSONLinesTests {
  static let labels = ["positive", "negative", "7"]

  static func read(_ text: String, skipsInvalid: Bool = false) throws(DatasetError)
    -> DatasetContents
  {
    try DatasetReader(labels: .classes(labels), skipsInvalid: skipsInvalid).read(
      Array(text.utf8), .jsonLines)
  }

  static let good = #"{"id":"a","text":"x","label":"7"}"#

  @Test("reads every field")
  func everyField() throws {
    let found = try Self.read(
      #" { "split":"train", "id" : "r\u00e9\ud83d\ude00", "text":"a\"\\\/\b\f\n\r\tb","# + "\t"
        + #""text_pair":"p","label":"positive","subject":"ann","deletionProbability":2.5e-1,"#
        + #""extra":[{"deep":[1,-0.5E+3,true,false,null,{}]},[]],"other":"x"}"#)
    let record = Record(
      id: try RecordID("ré😀"), subject: try RecordID("ann"), text: "a\"\\/\u{8}\u{c}\n\r\tb",
      textPair: "p", label: "positive", deletionProbability: 0.25)
    #expect(found.training == [record])
    #expect(found.notes == [.unknownFieldsIgnored(lineCount: 1)])
  }

  struct Row: Sendable {
    let line: String
    let field: DatasetField?
    let kind: DatasetProblem.Kind

    init(_ line: String, _ field: DatasetField? = nil, _ kind: DatasetProblem.Kind) {
      self.line = line
      self.field = field
      self.kind = kind
    }
  }

  static func filled(_ field: String, _ value: String) -> String {
    let defaults = [("id", "\"b\""), ("text", "\"x\""), ("label", "\"7\"")].filter { $0.0 != field }
    return "{" + (defaults + [(field, value)]).map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",")
      + "}"
  }

  static let rows = [
    Row("", nil, .blankLine),
    Row(" \t", nil, .blankLine),
    Row("\r", nil, .blankLine),
    Row("[1]", nil, .notAnObject),
    Row("\"id\"", nil, .notAnObject),
    Row("{", nil, .invalidJSON(.unexpectedEnd, atByte: 1)),
    Row("{}", .id, .missing),
    Row("{,}", nil, .invalidJSON(.expectedKey, atByte: 1)),
    Row("{id:1}", nil, .invalidJSON(.expectedKey, atByte: 1)),
    Row(#"{"id" 1}"#, nil, .invalidJSON(.expectedColon, atByte: 6)),
    Row(#"{"id":}"#, nil, .invalidJSON(.expectedValue, atByte: 6)),
    Row(#"{"id":1 "text":2}"#, nil, .invalidJSON(.expectedComma, atByte: 8)),
    Row(#"{"id":1,}"#, nil, .invalidJSON(.expectedKey, atByte: 8)),
    Row(#"{"id":01}"#, nil, .invalidJSON(.badNumber, atByte: 6)),
    Row(#"{"id":1.}"#, nil, .invalidJSON(.badNumber, atByte: 6)),
    Row(#"{"id":NaN}"#, nil, .invalidJSON(.expectedValue, atByte: 6)),
    Row(#"{"id":nul}"#, nil, .invalidJSON(.expectedValue, atByte: 9)),
    Row(#"{"id":"a"#, nil, .invalidJSON(.unexpectedEnd, atByte: 8)),
    Row("{\"id\":\"a\tb\"}", nil, .invalidJSON(.controlCharacter, atByte: 8)),
    Row(#"{"id":"\x"}"#, nil, .invalidJSON(.badEscape, atByte: 8)),
    Row(#"{"id":"\u00g0"}"#, nil, .invalidJSON(.badEscape, atByte: 11)),
    Row(#"{"id":"\ud800"}"#, nil, .invalidJSON(.loneSurrogate, atByte: 7)),
    Row(#"{"id":"\ud800\u0041"}"#, nil, .invalidJSON(.loneSurrogate, atByte: 7)),
    Row(#"{"id":"\udc00\ud800"}"#, nil, .invalidJSON(.loneSurrogate, atByte: 7)),
    Row(good + good, nil, .invalidJSON(.trailing, atByte: 33)),
    Row(
      "{\"x\":" + String(repeating: "[", count: 100), nil, .invalidJSON(.tooDeep, atByte: 69)),
    Row(#"{"id":"b","id":"b"}"#, .id, .duplicateKey),
    Row(#"{"id":"b","\u0069d":"c"}"#, .id, .duplicateKey),
    Row(#"{"zz":1,"zz":2}"#, nil, .duplicateKey),
    Row(filled("id", "null"), .id, .missing),
    Row(filled("id", "\"\""), .id, .empty),
    Row(filled("id", "1.5"), .id, .wrongType(expected: "a string or an integer")),
    Row(filled("id", "true"), .id, .wrongType(expected: "a string or an integer")),
    Row(filled("id", #""a\u0000""#), .id, .controlCharacter),
    Row(filled("id", #""a\u0085""#), .id, .controlCharacter),
    Row(
      filled("id", "\"" + String(repeating: "é", count: 129) + "\""), .id,
      .tooLong(byteCount: 258, limit: 256)),
    Row(filled("text", "null"), .text, .missing),
    Row(filled("text", "\"\""), .text, .empty),
    Row(filled("text", "5"), .text, .wrongType(expected: "a string")),
    Row(
      filled("text", "\"" + String(repeating: "x", count: 65_537) + "\""), .text,
      .tooLong(byteCount: 65_537, limit: 65_536)),
    Row(
      filled("text_pair", "\"" + String(repeating: "x", count: 65_537) + "\""), .textPair,
      .tooLong(byteCount: 65_537, limit: 65_536)),
    Row(filled("label", "{}"), .label, .wrongType(expected: "a string or an integer")),
    Row(filled("label", "\"\""), .label, .empty),
    Row(filled("label", "\"Positive\""), .label, .unknownLabel(suggestion: "positive")),
    Row(filled("label", "\"negatve\""), .label, .unknownLabel(suggestion: "negative")),
    Row(filled("label", "\"sports\""), .label, .unknownLabel(suggestion: nil)),
    Row(filled("label", "7.0"), .label, .wrongType(expected: "a string or an integer")),
    Row(filled("subject", "\"\""), .subject, .empty),
    Row(filled("subject", "[]"), .subject, .wrongType(expected: "a string or an integer")),
    Row(filled("deletionProbability", "1.01"), .deletionProbability, .notAProbability),
    Row(filled("deletionProbability", "-0.1"), .deletionProbability, .notAProbability),
    Row(filled("deletionProbability", "1e999"), .deletionProbability, .notAProbability),
    Row(
      filled("deletionProbability", "\"0.5\""), .deletionProbability,
      .wrongType(expected: "a number")),
    Row(filled("split", "\"Train\""), .split, .unknownSplit),
    Row(filled("id", "\"a\""), .id, .duplicateID(firstLine: 1)),
    Row(
      "{\"x\":\"" + String(repeating: "x", count: 1 << 20) + "\"}", nil,
      .lineTooLong(byteCount: (1 << 20) + 8)),
  ]

  @Test("names line, field and mistake, and skips only on request", arguments: rows)
  func mistakes(_ row: Row) throws {
    let problem = DatasetProblem(line: 2, field: row.field, kind: row.kind)
    let text = [Self.good, row.line, Self.filled("id", "\"z\"")].joined(separator: "\n")
    #expect(throws: DatasetError.malformed(first: [problem], totalCount: 1)) {
      try Self.read(text)
    }
    let found = try Self.read(text, skipsInvalid: true)
    #expect(found.training.map(\.id.text) == ["a", "z"])
    #expect(found.skipped == [problem])
    #expect(problem.sentence.hasPrefix("line 2"))
  }

  @Test("says exactly what is over which limit")
  func sentence() {
    let problem = DatasetProblem(
      line: 9, field: .text, kind: .tooLong(byteCount: 70_000, limit: 65_536))
    #expect(
      problem.sentence
        == "line 9, text: text over the limit: 70000 bytes, 65536 are allowed; shorten it")
    let duplicate = DatasetProblem(line: 4, field: .id, kind: .duplicateID(firstLine: 2))
    #expect(
      duplicate.sentence
        == "line 4, id: the id is that of line 2 already; give each record an id of its own")
  }

  @Test("takes integers as their digits, so 7 and \"7\" are one id")
  func integers() throws {
    let line = #"{"id":-12,"text":"x","label":7,"subject":3}"#
    let record = try #require(try Self.read(line).training.first)
    #expect(record.id.text == "-12")
    #expect(record.label == "7")
    #expect(record.subject?.text == "3")
    #expect(throws: DatasetError.self) {
      try Self.read(line + "\n" + #"{"id":"-12","text":"x","label":7}"#)
    }
  }

  @Test("compares ids and labels as bytes, not as Unicode-equal strings")
  func bytes() throws {
    let lines = ["\u{e9}", "e\u{301}"].map { #"{"id":"\#($0)","text":"x","label":"7"}"# }
    #expect(try Self.read(lines.joined(separator: "\n")).training.count == 2)
    let reader = DatasetReader(labels: .classes(["e\u{301}"]))
    #expect(throws: DatasetError.self) {
      try reader.read(Array("{\"id\":1,\"text\":\"x\",\"label\":\"\u{e9}\"}".utf8), .jsonLines)
    }
  }

  @Test(
    "accepts LF and CRLF, with and without a last line end",
    arguments: ["\(good)", "\(good)\n", "\(good)\r\n", "\(good)\n\n", "\(good)\r\n\r\n"])
  func lineEnds(text: String) throws {
    #expect(try Self.read(text).training.count == 1)
  }

  @Test("refuses a file without records", arguments: ["", "\n", "\r\n"])
  func empty(text: String) {
    #expect(throws: DatasetError.noRecords(skippedCount: 0)) { try Self.read(text) }
    #expect(throws: DatasetError.noRecords(skippedCount: 2)) {
      try Self.read("{\n}", skipsInvalid: true)
    }
  }

  @Test("skips a byte order mark, at the file's start alone")
  func byteOrderMark() throws {
    #expect(try Self.read("\u{feff}\(Self.good)\n") == Self.read(Self.good))
    let inside = DatasetProblem(line: 2, kind: .notAnObject)
    #expect(throws: DatasetError.malformed(first: [inside], totalCount: 1)) {
      try Self.read("\(Self.good)\n\u{feff}\(Self.good)")
    }
  }

  @Test(
    "cuts at line feeds alone, whatever else is called a line end",
    arguments: ["\u{2028}", "\u{2029}", "\u{85}", "\r"])
  func onlyLineFeeds(end: String) throws {
    let text = #"{"id":"a","text":"x\#(end)y","label":"7"}"#
    if end == "\r" {
      #expect(throws: DatasetError.self) { try Self.read(text) }
    } else {
      #expect(try Self.read(text).training.map(\.text) == ["x\(end)y"])
    }
  }

  @Test("refuses other encodings")
  func encodings() {
    let latin1 = Array(#"{"id":"a","text":"caf"#.utf8) + [0xe9] + Array(#"","label":"7"}"#.utf8)
    let problem = DatasetProblem(line: 1, kind: .notUTF8(atByte: 21))
    #expect(throws: DatasetError.malformed(first: [problem], totalCount: 1)) {
      try DatasetReader(labels: .any).read(latin1, .jsonLines)
    }
  }

  @Test("keeps the splits apart")
  func splits() throws {
    let lines = ["train", "test", "validation"].map {
      #"{"id":"\#($0)","text":"x","label":"7","split":"\#($0)"}"#
    }
    let found = try Self.read((lines + [Self.good]).joined(separator: "\n"))
    #expect(found.training.map(\.id.text) == ["train", "a"])
    #expect(found.evaluation.map(\.split) == [.test, .validation])
  }

  @Test("lists twenty problems and counts the rest")
  func manyProblems() throws {
    let error = DatasetError.malformed(
      first: (1...20).map { DatasetProblem(line: $0, field: .id, kind: .missing) }, totalCount: 50)
    #expect(throws: error) { try Self.read(String(repeating: "{}\n", count: 50)) }
    #expect(error.sentences.count == 21)
  }
}
