import CommandLineKit
import CoordinatorService
import SystemIO

/// `lethe completions`; names its type, as the tool holds the verb and the verb asks for the tool.
let completionsCommand: Command = Command(
  name: "completions", summary: "let a shell complete verbs, options and values",
  arguments: [
    Argument(
      "shell", .choice(ShellCompletion.Shell.allCases.map(\.rawValue)), help: "Whose script.")
  ],
  examples: [
    Example(
      "lethe completions bash > ~/.local/share/bash-completion/completions/lethe",
      "For every new bash."),
    Example("lethe completions zsh > ~/.zfunc/_lethe", "With ~/.zfunc in fpath."),
    Example("lethe completions fish > ~/.config/fish/completions/lethe.fish", "For fish."),
  ]
) { arguments, console in
  let shell = ShellCompletion.Shell(rawValue: arguments.string("shell")) ?? .bash
  let script = ShellCompletion(letheTool).script(for: shell)
  try show(CompletionScript(shell: shell.rawValue, script: script), arguments, console) {
    String($0.script.dropLast())
  }
  return .ok
}

private struct CompletionScript: Encodable {
  var shell: String
  var script: String
}

/// `lethe manual`, likewise.
let manualCommand: Command = Command(
  name: "manual", summary: "write the pages for man, one for every verb",
  options: [
    CommandOption(
      "output", .path, placeholder: "DIR", required: true,
      help: "A folder for lethe.1 and the others, such as /usr/local/share/man/man1."),
    CommandOption(
      "style", .choice(["man", "markdown"]), default: "man",
      help: "markdown: the reference of verbs, exit codes and the run file, as in ops/docs."),
  ],
  examples: [
    Example("lethe manual --output man1 && man -l man1/lethe-delete.1", "Reads one of them.")
  ], exitCodes: [.cannotWrite]
) { arguments, console in
  let folder = arguments.string("output")
  let pages =
    arguments.string("style") == "man"
    ? ManualPage.all(of: letheTool).map { (name: "\($0.name).1", text: $0.source) }
    : MarkdownManual(letheTool).pages + [(name: "run-file.md", text: RunFile.referencePage)]
  try FileSystem.createDirectory(folder)
  for page in pages {
    try FileSystem.replace("\(folder)/\(page.name)", with: Array(page.text.utf8))
  }
  try show(pages.map(\.name), arguments, console) { "wrote \($0.count) pages to \(folder)" }
  return .ok
}
