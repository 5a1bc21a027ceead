import ModelFormats
import Testing

@Suite("JSON5")
struct JSON5Tests {
  static let rows: [(text: String, plain: String, because: String)] = [
    (#"{"a": [1, -2.5e+3]}"#, #"{"a": [1, -2.5e+3]}"#, "JSON is JSON5"),
    ("{a: 1, $b_2 : 2}", #"{"a": 1, "$b_2" : 2}"#, "bare names"),
    ("{a /* x */: true}", #"{"a"        : true}"#, "a comment behind a name"),
    ("[1, // one\n2,]", "[1,       \n2 ]", "comments and a comma at the end"),
    ("{a: {}, }", #"{"a": {}  }"#, "a comma after an object"),
    (#"['it\'s "x"', "\x41\v\0"]"#, #"["it's \"x\"", "\u0041\u000b\u0000"]"#, "strings"),
    ("'a\\\nb'", "\"ab\"", "a line that goes on"),
    ("\u{feff}{a:\u{a0}1,\u{b}\u{c}b:\u{2028}\u{3000}2}", #"   {"a":  1,  "b":      2}"#, "space"),
    ("[1 // one\u{2029},2]", "[1          ,2]", "a comment that a paragraph separator ends"),
    ("'\u{2028}'", "\"\u{2028}\"", "no space inside a string"),
    ("[+1, .5, 5., 0x1F, -0xa, 5.e2]", "[1, 0.5, 5.0, 31, -10, 5.0e2]", "numbers"),
  ]

  @Test("becomes JSON that says the same", arguments: rows)
  func rewrites(_ row: (text: String, plain: String, because: String)) throws {
    let plain = try JSON5.plainJSON(Array(row.text.utf8))
    #expect(String(decoding: plain, as: UTF8.self) == row.plain, "\(row.because)")
    #expect(throws: Never.self) { try JSON(parsing: plain) }
  }

  static let refused: [(text: String, because: String)] = [
    ("[2e-]", "an exponent without digits"), ("[.]", "a point alone"), ("[0x]", "no digits"),
    ("[0x10000000000000000]", "65 bits"), ("[-Infinity]", "no number"), ("[+-1]", "two signs"),
    ("[NaN]", "no number"), ("[,]", "a comma for nothing"), ("[1,,]", "two commas"),
    ("{,}", "a comma for nothing"), ("{a:,}", "no value"), ("/* x", "a comment without end"),
    ("'x", "a string without end"), ("'x\\", "an escape without end"), ("[1 2]", "no comma"),
    ("{é: 1}", "a bare name with more than ASCII"), ("[12a]", "a name in a number"),
  ]

  @Test("is refused where it says nothing", arguments: refused)
  func refuses(_ row: (text: String, because: String)) {
    #expect(throws: JSONError.self, "\(row.because)") {
      try JSON(parsing: try JSON5.plainJSON(Array(row.text.utf8)))
    }
  }
}
