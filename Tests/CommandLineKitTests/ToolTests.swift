import CommandLineKit
import Foundation
import Glibc
import Testing

@Suite("Command line tool") struct ToolTests {
  @Test(
    "shows the same help by every road",
    arguments: [
      ["train", "--help"], ["train", "-h"], ["help", "train"], ["train", "--nonsense", "--help"],
    ])
  func roadsToHelp(words: [String]) {
    let result = run(words)
    #expect(result.code == .ok)
    #expect(result.output == run(["train", "--help"]).output)
  }

  @Test("lays a verb's help out in order, with every limit and default")
  func verbHelp() throws {
    let help = run(["train", "--help"]).output
    let order = [
      "lethe train: train something", "Usage: lethe train --run PATH [OPTIONS] INPUT",
      "First paragraph.\n\nSecond paragraph.", "Arguments:", "  INPUT", "Options:", "--steps N",
      "[1 to 100]", "[default: 10]", "[required]", "[env: LETHE_RUN]",
      "--schedule constant|linear", "--layers N,...", "[repeatable]", "--watch",
      "--format text|json", "--help", "Examples:", "lethe train a.jsonl --run r.json5",
      "Exit codes:", "  0 ", "  1 ", "  64", "  65",
    ]
    var rest = help[...]
    for part in order {
      let found = try #require(rest.firstRange(of: part), "\(part) is missing or out of order")
      rest = rest[found.upperBound...]
    }
  }

  @Test("keeps help within the terminal", arguments: [40, 60, 80, 200])
  func helpWidth(columns: Int) {
    let terminal = Terminal(columnCount: columns, isStyled: false)
    for line in run(["train", "--help"], terminal: terminal).output.split(separator: "\n") {
      #expect(columnCount(of: String(line)) <= min(columns, 100), "\(line)")
    }
  }

  @Test("lists every verb with its summary, and a group's verbs")
  func overview() {
    let help = run(["--help"]).output
    #expect(help == run(["help"]).output)
    for command in sample.commands {
      #expect(help.contains("  \(command.name) "))
      #expect(help.contains(command.summary))
    }
    let group = run(["help", "lineage"]).output
    #expect(group == run(["lineage", "--help"]).output)
    #expect(group.contains("record  one record"))
  }

  @Test("describes every exit code")
  func exitCodes() {
    let help = run(["help", "exit-codes"]).output
    for code in ExitCode.allCases {
      #expect(help.contains("  \(code.rawValue) "))
      #expect(help.contains(code.meaning.prefix(20)))
    }
  }

  @Test("prints the version")
  func version() { #expect(run(["--version"]).output == "lethe 1.2.3\n") }

  @Test("passes a verb's own exit code on")
  func ownCode() { #expect(run(["delete", "a"]).code == .changesPlanned) }

  @Test(
    "tells people what happened, where, and what to do",
    arguments: [
      (
        "known", ExitCode.badData, "a.jsonl:12: no \"id\"", "add one to every line",
        "the verb's own words"
      ),
      ("mapped", .cannotWrite, "the disk is full", "free some space", "the tool's translation"),
      (
        "unforeseen", .failure, "the moon is full", "report this with the command you ran",
        "an error nobody translated still speaks"
      ),
    ])
  func failures(how: String, code: ExitCode, message: String, hint: String, because: String) throws
  {
    let plain = run(["fail", how])
    #expect(plain.code == code, "\(because)")
    #expect(plain.errors == "lethe: error: \(message)\n  try: \(hint)\n")
    #expect(plain.output == "")

    for words in [["fail", how, "--format", "json"], ["fail", how, "--format=json"]] {
      let json = run(words)
      #expect(json.errors == plain.errors)
      let document = try #require(
        try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [String: Any]])
      #expect(document["error"]?["message"] as? String == message)
      #expect(document["error"]?["hint"] as? String == hint)
      #expect(document["error"]?["exitCode"] as? Int == Int(code.rawValue))
    }
  }

  @Test("answers a refused command line in JSON too")
  func usageAsJSON() {
    let result = run(["train", "--nonsense", "--format", "json"])
    #expect(result.code == .usage)
    #expect(result.output.hasPrefix(#"{"error":{"exitCode":64,"#))
  }

  @Test("ends quietly when the reader leaves, and with 73 when the disk is full")
  func brokenOutput() {
    for (refusal, code) in [
      (OutputError.readerLeft, ExitCode.ok), (.refused(errno: ENOSPC), .cannotWrite),
    ] {
      let errors = MemorySink()
      let console = Console(output: MemorySink(refusal: refusal), errors: errors)
      #expect(sample.run(["delete", "a"], environment: [:], console: console) == code)
      #expect(errors.text.isEmpty == (code == .ok))
    }
  }

  @Test("colours only a terminal that wants it")
  func colour() {
    let styled = Terminal(columnCount: 80, isStyled: true)
    #expect(run(["nothing"], terminal: styled).errors.hasPrefix("\u{1B}[31mlethe: error:\u{1B}[0m"))
    #expect(!run(["nothing"]).errors.contains("\u{1B}"))
    #expect(!run(["train", "--help"]).output.contains("\u{1B}"))
  }
}

@Suite("Descriptor sink") struct DescriptorSinkTests {
  /// A pipe's two ends; the reading one may be closed by the test.
  private static func pipe() throws -> (reader: CInt, writer: CInt) {
    var ends: [CInt] = [0, 0]
    try #require(Glibc.pipe(&ends) == 0)
    return (ends[0], ends[1])
  }

  @Test("writes every byte at once")
  func writes() throws {
    let (reader, writer) = try Self.pipe()
    defer { for end in [reader, writer] { close(end) } }
    try DescriptorSink(descriptor: writer).write(Array("two words".utf8))
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = read(reader, &buffer, buffer.count)
    #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) == "two words")
  }

  @Test("says that the reader left")
  func readerLeft() throws {
    signal(SIGPIPE, SIG_IGN)
    let (reader, writer) = try Self.pipe()
    defer { close(writer) }
    close(reader)
    #expect(throws: OutputError.readerLeft) {
      try DescriptorSink(descriptor: writer).write([1])
    }
  }

  @Test("says that the disk is full")
  func diskFull() throws {
    let full = open("/dev/full", O_WRONLY)
    try #require(full >= 0)
    defer { close(full) }
    #expect(throws: OutputError.refused(errno: ENOSPC)) {
      try DescriptorSink(descriptor: full).write([1])
    }
  }
}
