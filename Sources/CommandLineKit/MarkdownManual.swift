/// Reference pages in Markdown about every verb and every exit code, made from the commands as the
/// help and the pages for man are.
package struct MarkdownManual: Sendable {
  private let tool: CommandLineTool
  private let verbs: [(path: [String], command: Command)]
  /// Options that many verbs declare alike, by name; described once.
  private let shared: [String: String]
  private let help = HelpText(terminal: .none)

  package init(_ tool: CommandLineTool) {
    self.tool = tool
    verbs = tool.everyVerb
    let help = HelpText(terminal: .none)
    var counts: [String: Int] = [:]
    let options = verbs.filter { $0.command.verbs.isEmpty }.flatMap(\.command.allOptions)
    for option in options where !option.isRequired { counts[help.row(option), default: 0] += 1 }
    // Of two meanings of one name only the usual one is shared.
    var usual: [String: String] = [:]
    for option in options where counts[help.row(option), default: 0] >= 5 {
      let (row, known) = (help.row(option), usual[option.name])
      if counts[row, default: 0] > known.flatMap({ counts[$0] }) ?? 0 { usual[option.name] = row }
    }
    shared = usual
  }

  /// The pages by the name of their file.
  package var pages: [(name: String, text: String)] {
    [("verbs.md", verbsPage), ("exit-codes.md", exitCodesPage)]
  }

  private var verbsPage: String {
    var lines = [
      "# Verbs", "",
      "What `\(tool.name) VERB --help` says, on one page. Made by `\(tool.name) manual`.",
      "", "Options that many verbs take alike:", "", "| option | meaning |", "| - | - |",
    ]
    lines += shared.keys.sorted().compactMap { shared[$0] }
    for (path, command) in verbs { lines += section(path, command) }
    return lines.joined(separator: "\n") + "\n"
  }

  private var exitCodesPage: String {
    let rows = ExitCode.allCases.map { code in
      let isCommon = ExitCode.ofEveryVerb.contains(code)
      let users = verbs.filter { !isCommon && $0.command.exitCodes.contains(code) }
        .map { "`\($0.path.dropFirst().joined(separator: " "))`" }
      let who = users.isEmpty ? "all verbs" : users.joined(separator: ", ")
      return "| \(code.rawValue) | \(cell(code.meaning)) | \(who) |"
    }
    let lines =
      [
        "# Exit codes", "",
        "What a process of `\(tool.name)` ends with. Made by `\(tool.name) manual`.", "",
        "| code | meaning | verbs that say so |", "| - | - | - |",
      ] + rows
    return lines.joined(separator: "\n") + "\n"
  }

  private func section(_ path: [String], _ command: Command) -> [String] {
    let name = path.joined(separator: " ")
    var lines = ["", "## \(name)", "", Self.sentence(command.summary)]
    if !command.discussion.isEmpty { lines += ["", command.discussion] }
    guard command.verbs.isEmpty else {
      return lines + [""]
        + command.verbs.map { "- `\(name) \($0.name)`: \($0.summary)" }
    }
    lines += ["", "    " + help.usageLine(of: command, name: name)]
    let isShared = { (option: CommandOption) in shared[option.name] == help.row(option) }
    let own =
      command.arguments.map { tableRow(help.spelling(of: $0), help.description(of: $0)) }
      + command.allOptions.filter { !isShared($0) }.map(help.row)
    if !own.isEmpty { lines += ["", "| | |", "| - | - |"] + own }
    let others = command.allOptions.filter(isShared).map { "`--\($0.name)`" }
    lines += ["", "Takes \(others.joined(separator: ", ")) as above."]
    for example in command.examples {
      lines += ["", "    \(example.command)", "", example.explanation]
    }
    let codes = Set(command.exitCodes).union(ExitCode.ofEveryVerb).map(\.rawValue).sorted()
    return lines + ["", "Exit codes: \(codes.map(String.init).joined(separator: ", "))."]
  }

  private static func sentence(_ summary: String) -> String {
    summary.prefix(1).uppercased() + summary.dropFirst() + "."
  }
}

extension HelpText {
  fileprivate func row(_ option: CommandOption) -> String {
    tableRow(spelling(of: option), description(of: option))
  }
}

private func tableRow(_ name: String, _ text: String) -> String {
  "| `\(cell(name))` | \(cell(text)) |"
}

/// Bars would end a cell, and angle brackets begin a tag.
private func cell(_ text: String) -> String {
  var result = ""
  for character in text {
    switch character {
    case "|": result += "\\|"
    case "<": result += "&lt;"
    case "\n": result += " "
    default: result.append(character)
    }
  }
  return result
}
