import HTTP
import Testing

@Suite("The outline of JSON") struct JSONOutlineTests {
  static let rows: [(text: String, paths: [[String]], because: String)] = [
    ("{}", [], "nothing in it"),
    (#"{"a":1,"b":null}"#, [["a"]], "null is as if it were absent"),
    (
      #"{"a":{"b":[{"c":true},{"d":"x"}]}}"#,
      [["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "d"]], "lists add nothing"
    ),
    (#"{"a":"{\"b\":1}","c":"\\"}"#, [["a"], ["c"]], "strings are closed"),
    (#"{"\u0061":1}"#, [["a"]], "names are what they decode to"),
    (#"{"a":[1,2],"b":3}"#, [["a"], ["b"]], "a list ends"),
    (#"["x",{"a":-1.5e3}]"#, [["a"]], "a list outside"),
    (#"{"a":"#, [], "what is cut is for the parser to refuse"),
  ]

  @Test("names what is there", arguments: rows)
  func paths(_ row: (text: String, paths: [[String]], because: String)) throws {
    #expect(try JSONOutline(Array(row.text.utf8)).paths == Set(row.paths), "\(row.because)")
  }

  @Test("refuses what no request needs, at the limit and not before")
  func limits() throws {
    func text(_ part: String, _ count: Int) -> [UInt8] {
      Array(("[" + Array(repeating: part, count: count).joined(separator: ",") + "]").utf8)
    }
    _ = try JSONOutline(text("[]", JSONOutline.containerLimit - 1))
    #expect(throws: JSONOutline.Problem.tooMany) {
      try JSONOutline(text("[]", JSONOutline.containerLimit))
    }
    _ = try JSONOutline(text("1", JSONOutline.valueLimit - 1))
    #expect(throws: JSONOutline.Problem.tooMany) {
      try JSONOutline(text("1", JSONOutline.valueLimit))
    }
    _ = try JSONOutline([UInt8](repeating: UInt8(ascii: "["), count: JSONOutline.depthLimit))
    #expect(throws: JSONOutline.Problem.tooDeep) {
      try JSONOutline([UInt8](repeating: UInt8(ascii: "["), count: JSONOutline.depthLimit + 1))
    }
    #expect(throws: JSONOutline.Problem.nameTwice("a")) {
      try JSONOutline(Array(#"{"a":1,"b":[{"a":1}],"\u0061":2}"#.utf8))
    }
    _ = try JSONOutline(Array(#"[{"a":1},{"a":2}]"#.utf8))
  }
}
