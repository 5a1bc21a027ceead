import CommandLineKit
import Synchronization

/// Keeps what was written, and can refuse.
final class MemorySink: OutputSink {
  private let written = Mutex<[UInt8]>([])
  private let refusal: OutputError?

  init(refusal: OutputError? = nil) { self.refusal = refusal }

  var text: String { written.withLock { String(decoding: $0, as: UTF8.self) } }

  func write(_ bytes: [UInt8]) throws(OutputError) {
    if let refusal { throw refusal }
    written.withLock { $0 += bytes }
  }
}

struct DiskTrouble: Error {}
struct Unforeseen: Error, CustomStringConvertible { let description = "the moon is full" }

/// A tool with one of everything, whose verbs print what they were given.
let sample = CommandLineTool(
  name: "lethe", version: "1.2.3", summary: "a sample of every kind of verb",
  commands: [
    Command(
      name: "train", summary: "train something",
      discussion: "First paragraph.\n\nSecond paragraph.",
      arguments: [Argument("input", .path, help: "What to read.")],
      options: [
        CommandOption("steps", .integer(1...100), default: "10", help: "How many."),
        CommandOption("rate", .number(0...1), default: "0.5", help: "How fast."),
        CommandOption("run", .path, environment: "LETHE_RUN", required: true, help: "Run file."),
        CommandOption("schedule", .choice(["constant", "linear"]), help: "Shape."),
        CommandOption("layers", .list(of: .integer(0...11)), help: "Which layers."),
        CommandOption("shift", .integer, help: "Any whole number."),
        CommandOption("text", .text, repeats: true, help: "Texts."),
        CommandOption("watch", .flag, environment: "LETHE_WATCH", help: "Follow."),
      ],
      examples: [Example("lethe train a.jsonl --run r.json5", "Trains.")],
      exitCodes: [.badData]
    ) { arguments, console in
      let words = [
        arguments.string("input"), "\(arguments.integer("steps"))", "\(arguments.number("rate"))",
        arguments.string("run"), arguments.string(ifGiven: "schedule") ?? "none",
        arguments.integers("layers").map(String.init).joined(separator: "+"),
        arguments.integer(ifGiven: "shift").map(String.init) ?? "none",
        arguments.strings("text").joined(separator: "|"), "\(arguments.flag("watch"))",
      ]
      try console.print(words.joined(separator: ";"))
      return .ok
    },
    Command(
      name: "delete", summary: "take any count",
      arguments: [Argument("id", arity: .any, help: "Ids.")],
      options: [
        CommandOption("memory", .byteCount, help: "How much."),
        CommandOption("copies", .word("all", or: .integer(1...3)), help: "How many."),
      ]
    ) { arguments, console in
      let memory = arguments.byteCount(ifGiven: "memory").map { ["\($0)"] } ?? []
      try console.print(
        (arguments.strings("id") + memory + arguments.strings("copies")).joined(separator: "|"))
      return .changesPlanned
    },
    Command(
      name: "lineage", summary: "a group",
      verbs: [
        Command(
          name: "record", summary: "one record",
          arguments: [Argument("id", help: "Which.")], formats: [.table, .json, .dot]
        ) { arguments, console in
          try console.print("\(arguments.string("id")) as \(arguments.format.rawValue)")
          return .ok
        },
        Command(
          name: "shard", summary: "one shard",
          arguments: [
            Argument("number", .integer(0...9), help: "Which."),
            Argument("note", arity: .optional, help: "Why."),
          ]
        ) { arguments, console in
          try console.print(
            "\(arguments.integer("number")) \(arguments.string(ifGiven: "note") ?? "-")")
          return .ok
        },
      ]),
    Command(
      name: "fail", summary: "fail in many ways",
      arguments: [Argument("how", .choice(["known", "mapped", "unforeseen"]), help: "How.")]
    ) { arguments, _ in
      switch arguments.string("how") {
      case "known":
        throw UserFacingError(
          "no \"id\"", at: "a.jsonl:12", try: "add one to every line", exitCode: .badData)
      case "mapped": throw DiskTrouble()
      default: throw Unforeseen()
      }
    },
  ],
  explain: { error in
    error is DiskTrouble
      ? UserFacingError("the disk is full", try: "free some space", exitCode: .cannotWrite) : nil
  })

struct Result {
  let code: ExitCode
  let output: String
  let errors: String
}

func run(
  _ words: [String], environment: [String: String] = [:], terminal: Terminal = .none
) -> Result {
  let (output, errors) = (MemorySink(), MemorySink())
  let console = Console(
    output: output, errors: errors, outputTerminal: terminal, errorTerminal: terminal)
  let code = sample.run(words, environment: environment, console: console)
  return Result(code: code, output: output.text, errors: errors.text)
}
