import ModelFormats
import Testing

@Suite("JSON")
struct JSONTests {
  static let refused: [(text: String, because: String)] = [
    ("", "nothing"), ("{", "no end"), ("{}x", "text after the value"),
    (#"{"a":1,"a":2}"#, "a repeated name"), (#"{"a" 1}"#, "no colon"), ("[1,]", "a trailing comma"),
    ("01", "a leading zero"), ("1.", "no digits after the point"), ("1e", "no exponent"),
    ("NaN", "no such number"), ("+1", "a plus sign"), (#""\x""#, "an unknown escape"),
    (#""\ud800""#, "half a surrogate pair"), ("\"\n\"", "a control character"),
    ("tru", "half a word"), ("{a:1}", "a name without quotes"),
  ]

  @Test("refuses what RFC 8259 does not allow", arguments: refused)
  func refuses(_ row: (text: String, because: String)) {
    #expect(throws: JSONError.self, "\(row.because)") { try JSON(parsing: Array(row.text.utf8)) }
  }

  @Test("refuses bytes that are not UTF-8")
  func encoding() {
    #expect(throws: JSONError.self) { try JSON(parsing: [34, 0xff, 34]) }
  }

  @Test("reads values and writes them back")
  func roundTrip() throws {
    let text = #"{"a":[1,-2.5e3,true,false,null],"b":{"c":"\u00e4\ud83d\ude00\"\\\/\t"}}"#
    let json = try JSON(parsing: Array(text.utf8))
    #expect(json["a"]?.array?.count == 5)
    #expect(json["a"]?.array?[1].double == -2500)
    #expect(json["b"]?["c"]?.string == "ä😀\"\\/\t")
    #expect(try JSON(parsing: json.compactBytes) == json)
    #expect(try JSON(parsing: json.prettyBytes) == json)
  }
}
