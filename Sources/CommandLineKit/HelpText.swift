/// Help for one verb, a group of verbs, the whole tool, or the exit codes.
struct HelpText {
  /// Columns to fill.
  let columnCount: Int
  let terminal: Terminal

  init(terminal: Terminal) {
    // Lines longer than this are tiring to read, however wide the window.
    columnCount = min(max(terminal.columnCount ?? 80, 40), 100)
    self.terminal = terminal
  }

  func overview(of tool: CommandLineTool) -> String {
    var sections = [
      "\(tool.name): \(tool.summary)",
      heading("Usage") + " \(tool.name) VERB [OPTIONS] [ARGUMENTS]",
    ]
    if !tool.discussion.isEmpty {
      sections.append(wrapped(tool.discussion, to: columnCount).joined(separator: "\n"))
    }
    sections.append(section("Verbs", tool.commands.map { ($0.name, $0.summary) }))
    sections.append(
      section(
        "More help",
        [
          ("\(tool.name) help VERB", "what one verb takes and does"),
          ("\(tool.name) help exit-codes", "what the process ends with, and why"),
          ("\(tool.name) --version", "the version"),
        ]))
    return sections.joined(separator: "\n\n")
  }

  func describe(_ command: Command, path: [String]) -> String {
    let name = path.joined(separator: " ")
    var sections = ["\(name): \(command.summary)", usage(of: command, name: name)]
    if !command.discussion.isEmpty {
      sections.append(wrapped(command.discussion, to: columnCount).joined(separator: "\n"))
    }
    if command.verbs.isEmpty {
      let arguments = command.arguments.map { (spelling(of: $0), description(of: $0)) }
      if !arguments.isEmpty { sections.append(section("Arguments", arguments)) }
      sections.append(
        section("Options", command.allOptions.map { (spelling(of: $0), description(of: $0)) }))
    } else {
      sections.append(section("Verbs", command.verbs.map { ($0.name, $0.summary) }))
    }
    if !command.examples.isEmpty {
      let lines = command.examples.map { example in
        "  \(example.command)\n"
          + wrapped(example.explanation, to: columnCount, indent: 6).joined(separator: "\n")
      }
      sections.append(([heading("Examples")] + lines).joined(separator: "\n"))
    }
    if command.verbs.isEmpty {
      let codes = Set(command.exitCodes).union(ExitCode.ofEveryVerb)
      sections.append(exitCodes(codes.sorted { $0.rawValue < $1.rawValue }))
    }
    return sections.joined(separator: "\n\n")
  }

  func exitCodes(_ codes: [ExitCode] = ExitCode.allCases) -> String {
    section("Exit codes", codes.map { ("\($0.rawValue)", $0.meaning) })
  }

  private func usage(of command: Command, name: String) -> String {
    let lines = wrapped(
      usageLine(of: command, name: name), to: columnCount, indent: "Usage: ".count)
    return heading("Usage") + lines.joined(separator: "\n").dropFirst("Usage:".count)
  }

  /// The words to type, on one line.
  func usageLine(of command: Command, name: String) -> String {
    guard command.verbs.isEmpty else { return "\(name) VERB [OPTIONS] [ARGUMENTS]" }
    let required = command.options.filter(\.isRequired).map { "--\($0.name) \($0.placeholder)" }
    return ([name] + required + ["[OPTIONS]"] + command.arguments.map(spelling(of:)))
      .joined(separator: " ")
  }

  func spelling(of argument: Argument) -> String {
    let name = argument.name.uppercased()
    return switch argument.arity {
    case .one: name
    case .optional: "[\(name)]"
    case .any: "[\(name) ...]"
    case .some: "\(name) ..."
    }
  }

  func spelling(of option: CommandOption) -> String {
    option.kind.takesValue ? "--\(option.name) \(option.placeholder)" : "--\(option.name)"
  }

  func description(of argument: Argument) -> String {
    ([argument.help] + (argument.kind.limits.map { ["[\($0)]"] } ?? [])).joined(separator: " ")
  }

  func description(of option: CommandOption) -> String {
    var words = [option.help]
    if let limits = option.kind.limits { words.append("[\(limits)]") }
    if option.isRequired { words.append("[required]") }
    if option.repeats { words.append("[repeatable]") }
    if let value = option.defaultValue { words.append("[default: \(value)]") }
    if let variable = option.environmentVariable { words.append("[env: \(variable)]") }
    return words.joined(separator: " ")
  }

  private func heading(_ title: String) -> String { terminal.styled("\(title):", .bold) }

  /// Names on the left, text on the right; a name too long for its column stands on its own line.
  private func section(_ title: String, _ rows: [(name: String, text: String)]) -> String {
    let longest = rows.map { CommandLineKit.columnCount(of: $0.name) }.max() ?? 0
    let column = min(longest, 26, columnCount / 2 - 4) + 4
    let margin = String(repeating: " ", count: column)
    let lines = rows.flatMap { row in
      let text = wrapped(row.text, to: columnCount, indent: column)
      guard let first = text.first else { return ["  \(row.name)"] }
      if CommandLineKit.columnCount(of: row.name) + 4 > column { return ["  \(row.name)"] + text }
      return [padded("  \(row.name)", to: column) + first.dropFirst(margin.count)]
        + text.dropFirst()
    }
    return ([heading(title)] + lines).joined(separator: "\n")
  }
}
