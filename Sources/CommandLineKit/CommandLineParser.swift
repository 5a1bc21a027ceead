/// Reads the words after a verb against its declaration.
///
/// Words are taken in order: `--name VALUE`, `--name=VALUE`, `--flag`, and everything else by
/// position. `--` ends options. A value may begin with one dash (`--shift -1`, `-` for standard
/// input) but not with two, unless joined by `=`. A flag may be repeated; it says the same twice.
struct CommandLineParser {
  let command: Command
  /// The tool's name and the verbs up to this one, for messages.
  let path: [String]
  let environment: [String: String]

  enum Outcome {
    case help
    case parsed(ParsedArguments)
  }

  /// Throws the first thing wrong, reading from the left; `--help` wins over anything wrong
  /// before it, as someone who asks for help has often already mistyped.
  func parse(_ words: some Sequence<String>) throws(UsageError) -> Outcome {
    let words = Array(words)
    let optionWords = words.prefix { $0 != "--" }
    if optionWords.contains("--help") || optionWords.contains("-h") { return .help }

    var given: [String: [String]] = [:]
    var positional: [String] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--" {
        positional += rest
        break
      }
      if word.hasPrefix("--") {
        try read(option: word.dropFirst(2), rest: &rest, into: &given)
      } else if word.hasPrefix("-"), word != "-", Double(word) == nil {
        throw .unknownOption(word, path: path, suggestion: nil)
      } else {
        positional.append(word)
      }
    }
    try fillIn(&given)
    return .parsed(
      ParsedArguments(command: command, options: given, arguments: try assign(positional)))
  }

  private func read(
    option text: Substring, rest: inout ArraySlice<String>, into given: inout [String: [String]]
  ) throws(UsageError) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    guard let option = command.option(named: name) else {
      throw .unknownOption(
        "--\(name)", path: path,
        suggestion: closest(to: name, among: command.allOptions.map(\.name)))
    }
    let joined = parts.count == 2 ? String(parts[1]) : nil
    guard option.kind.takesValue else {
      if joined != nil { throw .unwantedValue(option: name, path: path) }
      given[name] = [""]
      return
    }
    let value: String
    if let joined {
      value = joined
    } else if let next = rest.first, !next.hasPrefix("--") {
      value = next
      rest.removeFirst()
    } else {
      throw .missingValue(option: name, path: path)
    }
    if given[name] != nil, !option.repeats { throw .givenTwice(option: name, path: path) }
    try check(value, against: option.kind, called: "--\(name)")
    given[name, default: []].append(value)
  }

  /// What was not given comes from the environment, then from the declared default.
  private func fillIn(_ given: inout [String: [String]]) throws(UsageError) {
    for option in command.allOptions where given[option.name] == nil {
      if let variable = option.environmentVariable, let value = environment[variable],
        !value.isEmpty
      {
        if option.kind.takesValue {
          try check(value, against: option.kind, called: variable)
          given[option.name] = [value]
        } else if !["0", "false", "no"].contains(value) {
          given[option.name] = [""]
        }
      } else if let value = option.defaultValue {
        given[option.name] = [value]
      } else if option.isRequired {
        throw .missingOption(option.name, path: path)
      }
    }
  }

  private func assign(_ words: [String]) throws(UsageError) -> [String: [String]] {
    var values: [String: [String]] = [:]
    var rest = words[...]
    for argument in command.arguments {
      let taken = argument.arity.repeats ? rest : rest.prefix(1)
      rest = rest.dropFirst(taken.count)
      if taken.isEmpty, argument.arity.isRequired {
        throw .missingArgument(argument.name.uppercased(), path: path)
      }
      for word in taken {
        try check(word, against: argument.kind, called: argument.name.uppercased())
      }
      values[argument.name] = Array(taken)
    }
    if let extra = rest.first { throw .extraArgument(extra, path: path) }
    return values
  }

  private func check(
    _ value: String, against kind: ValueKind, called name: String
  ) throws(UsageError) {
    if let problem = kind.problem(with: value) {
      throw .refusedValue(name: name, value: value, problem: problem, path: path)
    }
  }
}
