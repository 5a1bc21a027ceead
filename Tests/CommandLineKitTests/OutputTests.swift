import CommandLineKit
import Testing

@Suite("Text for people") struct OutputTests {
  @Test(
    "durations",
    arguments: [
      (0, "0 s"), (0.0000004, "0 µs"), (0.00084, "840 µs"), (0.0123, "12 ms"), (0.9994, "999 ms"),
      (0.9996, "1.0 s"), (3.44, "3.4 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"),
      (125, "2 min 05 s"), (3599.6, "1 h 00 min"), (3720, "1 h 02 min"), (86_370, "1 d 00 h"),
      (273_600, "3 d 04 h"), (-3, "-3.0 s"), (.infinity, "?"), (.nan, "?"), (1e300, "?"),
    ] as [(Double, String)])
  func durations(seconds: Double, text: String) {
    #expect(Humanized.duration(seconds: seconds) == text)
  }

  @Test(
    "byte counts",
    arguments: [
      (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
      (1_048_575, "1.0 MiB"), (90_868_376, "86.7 MiB"), (-2048, "-2.0 KiB"),
      (Int.max, "8.0 EiB"), (Int.min, "-8.0 EiB"),
    ])
  func bytes(count: Int, text: String) { #expect(Humanized.bytes(count) == text) }

  @Test("counts and rates")
  func counts() {
    #expect(Humanized.count(999) == "999")
    #expect(Humanized.count(50_450) == "50,450")
    #expect(Humanized.count(-1_000_000) == "-1,000,000")
    #expect(Humanized.count(Int.min) == "-9,223,372,036,854,775,808")
    #expect(Humanized.count(1, "record") == "1 record")
    #expect(Humanized.count(2000, "entry", plural: "entries") == "2,000 entries")
    #expect(
      [310.4, 31, 3.1, 0.314, 12_345].map(Humanized.rate) == [
        "310", "31.0", "3.10", "0.31", "12,345",
      ])
  }

  @Test(
    "columns of a text",
    arguments: [
      ("abc", 3), ("naïve", 5), ("e\u{301}", 1), ("忘却", 4), ("", 0), ("\u{200B}a", 1),
    ])
  func columns(text: String, count: Int) { #expect(columnCount(of: text) == count) }

  @Test("aligns columns and leaves no spaces behind")
  func table() {
    var table = TextTable([.left("shard"), .right("depth"), .left("why")])
    table.append(["0", "3", "all\nlive"])
    table.append(["忘10", "12", ""])
    #expect(
      table.text == """
        shard  depth  why
        0          3  all\\nlive
        忘10      12
        """)
  }

  @Test("prints JSON on one line, keys sorted")
  func json() throws {
    struct Reply: Encodable {
      let zebra = "a/b\n"
      let apple: [Double] = [0.5, .nan]
    }
    let sink = MemorySink()
    try Console(output: sink, errors: MemorySink()).printJSON(Reply())
    #expect(sink.text == #"{"apple":[0.5,"NaN"],"zebra":"a/b\n"}"# + "\n")
  }
}
