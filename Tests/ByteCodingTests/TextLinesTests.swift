import ByteCoding
import Testing

@Suite("Lines of text") struct TextLinesTests {
  static let rows: [(text: String, lines: [String], because: String)] = [
    ("", [], "an empty file has no line"),
    ("a", ["a"], "the last line needs no end"),
    ("a\nb\n", ["a", "b"], "what follows the last line feed is no line"),
    ("a\r\nb\r\n", ["a", "b"], "CRLF is one end"),
    ("a\r", ["a"], "a carriage return at the file's end belongs to it"),
    ("a\r\r\nb", ["a\r", "b"], "only one carriage return does"),
    ("a\rb", ["a\rb"], "alone it ends nothing"),
    ("a\n\nb", ["a", "", "b"], "an empty line is a line"),
    ("k\u{2028}x\u{2029}y\n", ["k\u{2028}x\u{2029}y"], "separators are no ends"),
    ("y\u{85}z\u{b}v\u{c}w", ["y\u{85}z\u{b}v\u{c}w"], "nor are NEL, VT and FF"),
    ("\u{feff}a\n\u{feff}b", ["a", "\u{feff}b"], "a mark at the start alone"),
    ("\u{feff}", [], "a mark is no line"),
  ]

  @Test("are cut at line feeds alone", arguments: rows)
  func cuts(_ row: (text: String, lines: [String], because: String)) {
    let lines = Array(TextLines(Array(row.text.utf8)))
    #expect(lines.map { Array($0.bytes) } == row.lines.map { Array($0.utf8) }, "\(row.because)")
    #expect(lines.map(\.number) == Array(1...(lines.count + 1)).dropLast())
  }
}
