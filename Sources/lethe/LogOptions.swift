import CommandLineKit
import ServiceSupport

/// How coordinator and workers write their log lines; `up` hands these on to its processes.
let logOptions = [
  CommandOption(
    "log-format", .choice(["auto", "json", "text"]), default: "auto",
    environment: "LETHE_LOG_FORMAT",
    help: "Lines on standard error; auto: text on a terminal, JSON elsewhere."),
  CommandOption(
    "log-level", .choice(LogLevel.allCases.map(\.rawValue)), default: "info",
    environment: "LETHE_LOG_LEVEL", help: "Leave out what matters less than this."),
]

/// What the options ask for.
func log(_ component: String, _ arguments: ParsedArguments, _ console: Console) -> Log {
  let terminal = console.errorTerminal
  let isText =
    switch arguments.string("log-format") {
    case "text": true
    case "json": false
    default: terminal.isInteractive
    }
  return Log(
    component: component,
    format: isText ? .text { text, level in terminal.styled(text, level) } : .json,
    level: LogLevel(rawValue: arguments.string("log-level")) ?? .info)
}

/// The same options for a process that is started.
func logArguments(_ arguments: ParsedArguments) -> [String] {
  logOptions.flatMap { ["--\($0.name)", arguments.string($0.name)] }
}

extension Terminal {
  fileprivate func styled(_ text: String, _ level: LogLevel) -> String {
    switch level {
    case .debug: styled(text, .dim)
    case .info: text
    case .warn: styled(text, .yellow)
    case .error: styled(text, .red)
    }
  }
}
