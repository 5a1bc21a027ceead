/// A page for man(1) about the tool or one of its verbs, made from the commands.
///
/// - SeeAlso: man(7), groff_man(7).
package struct ManualPage: Sendable {
  /// `lethe`, `lethe-lineage-shard`: what man finds it by.
  package let name: String
  package let source: String

  /// The tool's page, and one for every verb.
  package static func all(of tool: CommandLineTool) -> [ManualPage] {
    [ManualPage(tool)]
      + tool.everyVerb.map { ManualPage($0.command, path: $0.path, version: tool.version) }
  }

  private init(_ tool: CommandLineTool) {
    name = tool.name
    var page = Roff(title: tool.name, version: tool.version)
    page.section("NAME")
    page.text("\(tool.name) - \(tool.summary)")
    page.section("SYNOPSIS")
    page.text("\(tool.name) VERB [OPTIONS] [ARGUMENTS]")
    page.section("DESCRIPTION")
    page.text(tool.discussion)
    page.section("VERBS")
    for command in tool.commands { page.item("\(tool.name)-\(command.name)(1)", command.summary) }
    page.section("EXIT STATUS")
    for code in ExitCode.allCases { page.item("\(code.rawValue)", code.meaning) }
    source = page.source
  }

  private init(_ command: Command, path: [String], version: String) {
    name = path.joined(separator: "-")
    let spoken = path.joined(separator: " ")
    var page = Roff(title: name, version: version)
    page.section("NAME")
    page.text("\(name) - \(command.summary)")
    page.section("SYNOPSIS")
    let help = HelpText(terminal: .none)
    page.text(help.usageLine(of: command, name: spoken))
    if !command.discussion.isEmpty {
      page.section("DESCRIPTION")
      page.text(command.discussion)
    }
    if command.verbs.isEmpty {
      if !command.arguments.isEmpty {
        page.section("ARGUMENTS")
        for argument in command.arguments {
          page.item(help.spelling(of: argument), help.description(of: argument))
        }
      }
      page.section("OPTIONS")
      for option in command.allOptions {
        page.item(help.spelling(of: option), help.description(of: option))
      }
    } else {
      page.section("VERBS")
      for verb in command.verbs { page.item("\(name)-\(verb.name)(1)", verb.summary) }
    }
    if !command.examples.isEmpty {
      page.section("EXAMPLES")
      for example in command.examples { page.item(example.command, example.explanation) }
    }
    if command.verbs.isEmpty {
      page.section("EXIT STATUS")
      for code in Set(command.exitCodes).union(ExitCode.ofEveryVerb)
        .sorted(by: { $0.rawValue < $1.rawValue })
      {
        page.item("\(code.rawValue)", code.meaning)
      }
    }
    page.section("SEE ALSO")
    page.text("\(path[0])(1)")
    source = page.source
  }
}

/// Text for groff, with what it would take for requests escaped.
private struct Roff {
  private(set) var source: String

  init(title: String, version: String) {
    source = ".TH \"\(Self.escaped(title.uppercased()))\" 1 \"\" \"lethe \(version)\"\n"
  }

  mutating func section(_ title: String) { source += ".SH \(title)\n" }

  /// Paragraphs separated by empty lines.
  mutating func text(_ text: String) {
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      source += line.isEmpty ? (index == 0 ? "" : ".PP\n") : Self.escaped(String(line)) + "\n"
    }
  }

  mutating func item(_ name: String, _ text: String) {
    source += ".TP\n.B \(Self.escaped(name))\n"
    self.text(text)
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for (index, character) in text.unicodeScalars.enumerated() {
      switch character {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case "." where index == 0, "'" where index == 0:
        result += "\\&"
        result.unicodeScalars.append(character)
      case "\0"..."\u{7f}": result.unicodeScalars.append(character)
      default:
        let digits = String(character.value, radix: 16, uppercase: true)
        result += "\\[u\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)]"
      }
    }
    return result
  }
}
