/// The whole tool: finds the verb, checks its words, runs it, and tells failures to people.
///
/// Nothing here ends the process; the executable does, with the code `run` returns.
package struct CommandLineTool: Sendable {
  package let name: String
  package let version: String
  package let summary: String
  package let discussion: String
  package let commands: [Command]
  private let explain: @Sendable (any Error) -> UserFacingError?

  /// - Parameter explain: the words for an error a verb let through, or `nil` for one it does not
  ///   know; then the error's own description is shown with exit code 1.
  package init(
    name: String, version: String, summary: String, discussion: String = "",
    commands: [Command],
    explain: @escaping @Sendable (any Error) -> UserFacingError? = { _ in nil }
  ) {
    precondition(Set(commands.map(\.name)).count == commands.count, "two verbs share a name")
    precondition(!commands.contains { $0.name == "help" }, "the verb help is built in")
    self.name = name
    self.version = version
    self.summary = summary
    self.discussion = discussion
    self.commands = commands
    self.explain = explain
  }

  /// Every verb, each before the verbs inside it, with its path from the tool's name.
  var everyVerb: [(path: [String], command: Command)] {
    func verbs(_ commands: [Command], below path: [String])
      -> [(path: [String], command: Command)]
    {
      commands.flatMap {
        [(path + [$0.name], $0)] + verbs($0.verbs, below: path + [$0.name])
      }
    }
    return verbs(commands, below: [name])
  }

  /// Runs one command line.
  ///
  /// - Parameter words: what follows the program's own name.
  package func run(
    _ words: [String], environment: [String: String], console: Console
  ) -> ExitCode {
    do {
      return try dispatch(words, environment: environment, console: console)
    } catch OutputError.readerLeft {
      // The reader has all it wanted, as in `lethe status | head -1`.
      return .ok
    } catch {
      let failure = userFacing(error)
      let lead = console.errorTerminal.styled("\(name): error:", .red)
      console.note(failure.text(tool: name).dropFirst("\(name): error:".count), lead: lead)
      if wantsJSON(words) { try? console.printJSON(ErrorDocument(failure)) }
      return failure.exitCode
    }
  }

  private func dispatch(
    _ words: [String], environment: [String: String], console: Console
  ) throws -> ExitCode {
    let help = HelpText(terminal: console.outputTerminal)
    switch words.first {
    case nil:
      throw UsageError.missingVerb(path: [name], choices: commands.map(\.name))
    case "--help", "-h":
      try console.printOwn(help.overview(of: self))
      return .ok
    case "--version":
      try console.print("\(name) \(version)")
      return .ok
    case "help":
      try console.printOwn(try helpPage(for: Array(words.dropFirst()), help))
      return .ok
    default:
      break
    }
    let (command, path, rest) = try find(words)
    switch command.body {
    case .verbs(let verbs):
      guard rest.contains(where: { $0 == "--help" || $0 == "-h" }) else {
        throw UsageError.missingVerb(path: path, choices: verbs.map(\.name))
      }
      try console.printOwn(help.describe(command, path: path))
      return .ok
    case .action(let action):
      let parser = CommandLineParser(command: command, path: path, environment: environment)
      switch try parser.parse(rest) {
      case .help:
        try console.printOwn(help.describe(command, path: path))
        return .ok
      case .parsed(let arguments):
        return try action(arguments, console)
      }
    }
  }

  private func helpPage(for words: [String], _ help: HelpText) throws -> String {
    let words = words.filter { $0 != "--help" && $0 != "-h" }
    if words.isEmpty { return help.overview(of: self) }
    if words == ["exit-codes"] { return help.exitCodes() }
    let (command, path, rest) = try find(words)
    if let extra = rest.first { throw UsageError.extraArgument(extra, path: path) }
    return help.describe(command, path: path)
  }

  /// The deepest verb the words lead to, its path from the tool's name, and the words after it.
  private func find(
    _ words: [String]
  ) throws(UsageError) -> (command: Command, path: [String], rest: ArraySlice<String>) {
    var path = [name]
    var choices = commands
    var rest = words[...]
    var found: Command?
    while let word = rest.first, !choices.isEmpty, found == nil || !word.hasPrefix("-") {
      if word.hasPrefix("-") { throw .unknownOption(word, path: path, suggestion: nil) }
      guard let next = choices.first(where: { $0.name == word }) else {
        throw .unknownVerb(
          word, path: path, suggestion: closest(to: word, among: choices.map(\.name)))
      }
      rest.removeFirst()
      path.append(word)
      choices = next.verbs
      found = next
    }
    guard let found else { throw .missingVerb(path: path, choices: choices.map(\.name)) }
    return (found, path, rest)
  }

  private func userFacing(_ error: any Error) -> UserFacingError {
    switch error {
    case let failure as UserFacingError: failure
    case let failure as UsageError: failure.userFacing
    case let failure as OutputError: failure.userFacing
    default:
      explain(error)
        ?? UserFacingError("\(error)", try: "report this with the command you ran")
    }
  }

  /// Looked for in the raw words, as a command line may be refused before it is understood.
  private func wantsJSON(_ words: [String]) -> Bool {
    let options = Array(words.prefix { $0 != "--" })
    if options.contains("--format=json") { return true }
    return zip(options, options.dropFirst()).contains { $0 == "--format" && $1 == "json" }
  }
}
