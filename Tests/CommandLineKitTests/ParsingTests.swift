import CommandLineKit
import Testing

@Suite("Command line parsing") struct ParsingTests {
  struct Accepted: Sendable, CustomTestStringConvertible {
    let words: [String]
    var environment: [String: String] = [:]
    let prints: String
    let because: String
    var testDescription: String { because }
  }

  static let accepted = [
    Accepted(
      words: ["train", "a", "--run", "r"], prints: "a;10;0.5;r;none;;none;;false",
      because: "defaults fill what is not given"),
    Accepted(
      words: ["train", "--run=r", "--steps=7", "a", "--rate", "0.25"],
      prints: "a;7;0.25;r;none;;none;;false", because: "both spellings, options before and after"),
    Accepted(
      words: ["train", "a", "--run", "r", "--text", "x", "--text=y=z", "--text="],
      prints: "a;10;0.5;r;none;;none;x|y=z|;false",
      because: "repeats keep their order; only the first = separates; a text may be empty"),
    Accepted(
      words: ["train", "a", "--run", "r", "--text=--odd", "--text", "-nice"],
      prints: "a;10;0.5;r;none;;none;--odd|-nice;false",
      because: "two dashes only when joined, one dash anywhere"),
    Accepted(
      words: ["train", "a", "--run", "r", "--shift", "-3", "--layers", "3, 4,5"],
      prints: "a;10;0.5;r;none;3+4+5;-3;;false", because: "negative numbers and lists"),
    Accepted(
      words: ["train", "-", "--watch", "--watch", "--run", "r", "--schedule", "linear"],
      prints: "-;10;0.5;r;linear;;none;;true",
      because: "one dash is an argument; a flag said twice says the same"),
    Accepted(
      words: ["train", "a"], environment: ["LETHE_RUN": "e", "LETHE_WATCH": "1"],
      prints: "a;10;0.5;e;none;;none;;true", because: "the environment fills in"),
    Accepted(
      words: ["train", "a", "--run", "r"],
      environment: ["LETHE_RUN": "e", "LETHE_WATCH": "0"],
      prints: "a;10;0.5;r;none;;none;;false", because: "the command line wins; 0 is no flag"),
    Accepted(words: ["delete"], prints: "", because: "any count includes none"),
    Accepted(words: ["delete", "a", "b"], prints: "a|b", because: "any count includes two"),
    Accepted(
      words: ["delete", "--", "--help", "-x", "--"], prints: "--help|-x|--",
      because: "after -- nothing is an option"),
    Accepted(
      words: ["delete", "-5"], prints: "-5", because: "a number is no option"),
    Accepted(words: ["delete", "--copies", "all"], prints: "all", because: "a word of its own"),
    Accepted(words: ["delete", "--copies", "3"], prints: "3", because: "a number beside the word"),
    Accepted(words: ["delete", "--memory", "0"], prints: "0", because: "bytes as they are"),
    Accepted(
      words: ["delete", "--memory", "512M"], prints: "536870912", because: "steps of 1024"),
    Accepted(words: ["lineage", "record", "n1"], prints: "n1 as table", because: "nested verb"),
    Accepted(
      words: ["lineage", "record", "n1", "--format", "dot"], prints: "n1 as dot",
      because: "a verb's own formats"),
    Accepted(
      words: ["lineage", "shard", "3"], prints: "3 -", because: "optional argument left out"),
    Accepted(words: ["lineage", "shard", "3", "x"], prints: "3 x", because: "optional given"),
  ]

  @Test("reads what it should", arguments: accepted)
  func accepts(_ row: Accepted) {
    let result = run(row.words, environment: row.environment)
    #expect(result.errors == "")
    #expect(result.output == row.prints + "\n")
  }

  struct Refused: Sendable, CustomTestStringConvertible {
    let words: [String]
    var environment: [String: String] = [:]
    let message: String
    let hint: String
    var testDescription: String { words.joined(separator: " ") }
  }

  static let refused = [
    Refused(
      words: [], message: "lethe needs a verb: train, delete, lineage, fail", hint: "lethe --help"),
    Refused(
      words: ["trian"], message: "there is no verb \"trian\"", hint: "lethe train"),
    Refused(
      words: ["xyzzy"], message: "there is no verb \"xyzzy\"", hint: "lethe --help"),
    Refused(
      words: ["--format", "text", "train"], message: "there is no option --format",
      hint: "lethe --help"),
    Refused(
      words: ["lineage"], message: "lethe lineage needs a verb: record, shard",
      hint: "lethe lineage --help"),
    Refused(
      words: ["lineage", "recrod", "n"], message: "there is no verb \"recrod\"",
      hint: "lethe lineage record"),
    Refused(
      words: ["train", "a", "--run", "r", "--stesp", "3"], message: "there is no option --stesp",
      hint: "--steps, or lethe train --help"),
    Refused(
      words: ["train", "a", "--run", "r", "--zebra"], message: "there is no option --zebra",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "-v"], message: "there is no option -v", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--run"], message: "--run needs a value",
      hint: "--run=VALUE if the value begins with --, or lethe train --help"),
    Refused(
      words: ["train", "a", "--run", "--watch"], message: "--run needs a value",
      hint: "--run=VALUE if the value begins with --, or lethe train --help"),
    Refused(
      words: ["train", "a", "--watch=yes"], message: "--watch takes no value",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--run", "r", "--run", "s"], message: "--run is given twice",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a"], message: "--run is required", hint: "lethe train --help"),
    Refused(
      words: ["train", "--run", "r"], message: "INPUT is missing", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "b", "--run", "r"], message: "nothing is expected at \"b\"",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--steps", "many"],
      message: "--steps: \"many\" is not a whole number", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--steps", "0"],
      message: "--steps: \"0\" is out of range (1 to 100)", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--steps", "99999999999999999999"],
      message: "--steps: \"99999999999999999999\" is not a whole number",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--rate", "nan"], message: "--rate: \"nan\" is not a number",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--rate", "1.5"],
      message: "--rate: \"1.5\" is out of range (0 to 1)", hint: "lethe train --help"),
    Refused(
      words: ["delete", "--copies", "4"],
      message:
        "--copies: \"4\" is neither all nor a value: it is out of range (1 to 3)",
      hint: "lethe delete --help"),
    Refused(
      words: ["delete", "--memory", "8388608T"],
      message: "--memory: \"8388608T\" is no number of bytes, like 1048576, 512M or 2G",
      hint: "lethe delete --help"),
    Refused(
      words: ["delete", "--memory", "G"],
      message: "--memory: \"G\" is no number of bytes, like 1048576, 512M or 2G",
      hint: "lethe delete --help"),
    Refused(
      words: ["delete", "--memory=-1K"],
      message: "--memory: \"-1K\" is no number of bytes, like 1048576, 512M or 2G",
      hint: "lethe delete --help"),
    Refused(
      words: ["train", "a", "--schedule", "cosine"],
      message: "--schedule: \"cosine\" is none of constant, linear", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--layers", "1,,2"],
      message: "--layers: \"1,,2\" is a list with an empty place", hint: "lethe train --help"),
    Refused(
      words: ["train", "a", "--layers", "1,12"],
      message: "--layers: \"1,12\" is a list whose \"12\" is out of range (0 to 11)",
      hint: "lethe train --help"),
    Refused(
      words: ["train", "", "--run", "r"],
      message: "INPUT: \"\" is empty, where a path is needed", hint: "lethe train --help"),
    Refused(
      words: ["delete", "--format", "dot"],
      message: "--format: \"dot\" is none of text, json", hint: "lethe delete --help"),
    Refused(
      words: ["help", "train", "more"], message: "nothing is expected at \"more\"",
      hint: "lethe train --help"),
  ]

  @Test("refuses with a reason and a way on, exit code 64", arguments: refused)
  func refuses(_ row: Refused) {
    let result = run(row.words, environment: row.environment)
    #expect(result.code == .usage)
    #expect(result.output == "")
    #expect(result.errors == "lethe: error: \(row.message)\n  try: \(row.hint)\n")
  }

  @Test(
    "guesses what was meant",
    arguments: [
      ("stauts", "status", "two neighbours swapped"),
      ("delet", "delete", "one letter short"),
      ("tarin", "train", "one slip in five"),
      ("line", "lineage", "the beginning of a word"),
      ("s", nil, "one letter begins too many words"),
      ("frobnicate", nil, "nothing is near"),
    ] as [(String, String?, String)])
  func guesses(word: String, meant: String?, because: String) {
    let verbs = ["status", "delete", "train", "lineage", "serve"]
    #expect(closest(to: word, among: verbs) == meant, "\(because)")
  }
}
