/// Why a command line was refused.
package enum UsageError: Error, Equatable, Sendable {
  case missingVerb(path: [String], choices: [String])
  case unknownVerb(String, path: [String], suggestion: String?)
  case unknownOption(String, path: [String], suggestion: String?)
  case missingValue(option: String, path: [String])
  case unwantedValue(option: String, path: [String])
  case givenTwice(option: String, path: [String])
  /// `problem` follows "VALUE is".
  case refusedValue(name: String, value: String, problem: String, path: [String])
  case missingOption(String, path: [String])
  case missingArgument(String, path: [String])
  case extraArgument(String, path: [String])

  /// The sentence for people; exit code 64 always.
  package var userFacing: UserFacingError {
    switch self {
    case .missingVerb(let path, let choices):
      .usage(
        "\(path.joined(separator: " ")) needs a verb: \(choices.joined(separator: ", "))",
        try: help(path))
    case .unknownVerb(let verb, let path, let suggestion):
      .usage(
        "there is no verb \"\(verb)\"",
        try: suggestion.map { (path + [$0]).joined(separator: " ") } ?? help(path))
    case .unknownOption(let option, let path, let suggestion):
      .usage(
        "there is no option \(option)",
        try: suggestion.map { "--\($0), or \(help(path))" } ?? help(path))
    case .missingValue(let option, let path):
      .usage(
        "--\(option) needs a value",
        try: "--\(option)=VALUE if the value begins with --, or \(help(path))")
    case .unwantedValue(let option, let path):
      .usage("--\(option) takes no value", try: help(path))
    case .givenTwice(let option, let path):
      .usage("--\(option) is given twice", try: help(path))
    case .refusedValue(let name, let value, let problem, let path):
      .usage("\(name): \"\(value)\" is \(problem)", try: help(path))
    case .missingOption(let option, let path):
      .usage("--\(option) is required", try: help(path))
    case .missingArgument(let argument, let path):
      .usage("\(argument) is missing", try: help(path))
    case .extraArgument(let argument, let path):
      .usage("nothing is expected at \"\(argument)\"", try: help(path))
    }
  }

  private func help(_ path: [String]) -> String { path.joined(separator: " ") + " --help" }
}
