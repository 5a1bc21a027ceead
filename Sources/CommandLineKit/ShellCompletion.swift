/// Scripts that let a shell complete verbs, options and their values, made from the commands.
package struct ShellCompletion: Sendable {
  package enum Shell: String, CaseIterable, Sendable { case bash, zsh, fish }

  private let tool: String
  private let verbs: [Verb]

  /// One verb, or the tool itself, as a place on a command line.
  private struct Verb {
    /// Words before it and its own, without the tool's name.
    let path: [String]
    let summary: String
    let children: [Command]
    let options: [CommandOption]
  }

  package init(_ tool: CommandLineTool) {
    self.tool = tool.name
    var verbs = [Verb(path: [], summary: tool.summary, children: tool.commands, options: [])]
    func add(_ commands: [Command], below path: [String]) {
      for command in commands {
        let path = path + [command.name]
        verbs.append(
          Verb(
            path: path, summary: command.summary, children: command.verbs,
            options: command.verbs.isEmpty ? command.allOptions : [.help]))
        add(command.verbs, below: path)
      }
    }
    add(tool.commands, below: [])
    self.verbs = verbs
  }

  package func script(for shell: Shell) -> String {
    switch shell {
    case .bash: bash
    case .zsh: "#compdef \(tool)\nautoload -U +X bashcompinit && bashcompinit\n\(bash)"
    case .fish: fish
    }
  }

  /// Walks the words before the cursor down the verbs, then offers what belongs there.
  private var bash: String {
    var lines = [
      "_\(tool)() {",
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
      "  local verb= word",
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do",
      "    case \"${verb:+$verb }$word\" in",
    ]
    let paths = verbs.filter { !$0.path.isEmpty }.map { "'\($0.path.joined(separator: " "))'" }
    lines += [
      "      \(paths.joined(separator: " | \\\n        "))) verb=\"${verb:+$verb }$word\" ;;",
      "    esac", "  done", "  COMPREPLY=()", "  case \"$verb $previous\" in",
    ]
    for verb in verbs {
      for option in verb.options where option.kind.takesValue {
        let key = "'\(verb.path.joined(separator: " ")) --\(option.name)'"
        switch option.kind {
        case .path: lines.append("    \(key)) COMPREPLY=($(compgen -f -- \"$current\")); return ;;")
        case .choice(let choices):
          let words = choices.joined(separator: " ")
          lines.append(
            "    \(key)) COMPREPLY=($(compgen -W '\(words)' -- \"$current\")); return ;;")
        default: lines.append("    \(key)) return ;;")
        }
      }
    }
    lines += ["  esac", "  case \"$verb\" in"]
    for verb in verbs {
      let words =
        verb.children.map(\.name) + verb.options.map { "--\($0.name)" }
        + (verb.path.isEmpty ? ["help", "--help", "--version"] : [])
      lines.append(
        "    '\(verb.path.joined(separator: " "))') "
          + "COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- \"$current\")) ;;")
    }
    lines += [
      "  esac",
      "  if [[ ${#COMPREPLY[@]} = 0 && $current != -* ]]; then",
      "    COMPREPLY=($(compgen -f -- \"$current\"))", "  fi", "}",
      "complete -o filenames -F _\(tool) \(tool)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  private var fish: String {
    var lines: [String] = []
    for verb in verbs {
      let seen = verb.path.map { "__fish_seen_subcommand_from \($0)" }
      let none =
        "not __fish_seen_subcommand_from \(verb.children.map(\.name).joined(separator: " "))"
      let here =
        seen.isEmpty ? "__fish_use_subcommand" : (seen + [none]).joined(separator: "; and ")
      for child in verb.children {
        lines.append(
          "complete -c \(tool) -f -n '\(here)' -a \(child.name) -d \(quoted(child.summary))")
      }
      guard verb.children.isEmpty else { continue }
      let condition = seen.joined(separator: "; and ")
      for option in verb.options {
        var line = "complete -c \(tool) -n '\(condition)' -l \(option.name)"
        switch option.kind {
        case .flag: break
        case .path: line += " -r -F"
        case .choice(let choices): line += " -x -a \(quoted(choices.joined(separator: " ")))"
        default: line += " -x"
        }
        let sentence = option.help.prefix { $0 != "." && $0 != ";" }
        lines.append("\(line) -d \(quoted(String(sentence)))")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func quoted(_ text: String) -> String {
    var result = "'"
    for character in text.unicodeScalars {
      if character == "'" || character == "\\" { result += "\\" }
      result.unicodeScalars.append(character)
    }
    return result + "'"
  }
}
