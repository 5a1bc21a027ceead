import ByteCoding
import Testing

@Suite("Text on a terminal") struct VisibleTextTests {
  static let rows: [(text: String, line: String, because: String)] = [
    ("é 日本 🙂", "é 日本 🙂", "what people write stays"),
    ("a\u{1b}[2Jb", #"a\u{1b}[2Jb"#, "a terminal would clear the screen"),
    ("\u{1b}]0;x\u{7}", #"\u{1b}]0;x\u{7}"#, "or take another title"),
    ("a\u{9b}31m", #"a\u{9b}31m"#, "the same in one byte"),
    ("a\u{7f}\u{8}", #"a\u{7f}\u{8}"#, "or take a letter back"),
    ("a\nb\r\tc", #"a\nb\r\tc"#, "a name has one line"),
    ("a\r\nb", #"a\r\nb"#, "also where both are one character"),
    ("a\u{2028}b\u{202e}c", #"a\u{2028}b\u{202e}c"#, "lines and directions that look otherwise"),
  ]

  @Test("shows what it would obey", arguments: rows)
  func visible(_ row: (text: String, line: String, because: String)) {
    #expect(row.text.visible == row.line, "\(row.because)")
  }

  @Test("leaves the lines and columns of a text, and nothing else")
  func lines() {
    #expect("a\tb\n\u{1b}c\r\n".visibleLines == "a\tb\n\\u{1b}c\\r\n")
  }

  @Test("spells JSON so that it says the same")
  func json() {
    #expect(
      "{\"a\":\"\u{9b}é\u{7f}\u{202e}\"}\n".visibleJSON == #"{"a":"\u009bé\u007f\u202e"}"# + "\n")
  }
}
