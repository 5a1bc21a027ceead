/// One verb: what it is called, what it takes, and either what it does or the verbs inside it.
///
/// A value; help text, parsing and the option table all come from this one declaration.
/// `--help` and `--format` are added by the tool and are not declared.
package struct Command: Sendable {
  /// Does the verb's work. Every value it asks for has been checked against its declaration.
  package typealias Action = @Sendable (ParsedArguments, Console) throws -> ExitCode

  enum Body: Sendable {
    case action(Action)
    case verbs([Command])
  }

  package let name: String
  /// One line, no full stop; shown beside the name in lists.
  package let summary: String
  /// Paragraphs separated by empty lines; single line breaks are refilled to the terminal.
  package let discussion: String
  package let arguments: [Argument]
  package let options: [CommandOption]
  /// What `--format` accepts; the first is the default.
  package let formats: [OutputFormat]
  package let examples: [Example]
  /// Exit codes worth naming in this verb's help, beyond 0, 1 and 64.
  package let exitCodes: [ExitCode]
  let body: Body

  /// A verb that does something.
  ///
  /// - Precondition: names are unique, no required argument follows an optional one, and only the
  ///   last argument repeats.
  package init(
    name: String, summary: String, discussion: String = "", arguments: [Argument] = [],
    options: [CommandOption] = [], formats: [OutputFormat] = [.text, .json],
    examples: [Example] = [], exitCodes: [ExitCode] = [], run: @escaping Action
  ) {
    precondition(!formats.isEmpty, "\(name): a verb has at least one format")
    precondition(
      Set(options.map(\.name)).union(["help", "format"]).count == options.count + 2,
      "\(name): two options share a name, or one is called help or format")
    precondition(
      Set(arguments.map(\.name)).count == arguments.count, "\(name): two arguments share a name")
    precondition(
      arguments.dropLast().allSatisfy { !$0.arity.repeats }, "\(name): only the last may repeat")
    let firstOptional = arguments.firstIndex { !$0.arity.isRequired } ?? arguments.endIndex
    precondition(
      arguments[firstOptional...].allSatisfy { !$0.arity.isRequired },
      "\(name): a required argument follows an optional one")
    self.name = name
    self.summary = summary
    self.discussion = discussion
    self.arguments = arguments
    self.options = options
    self.formats = formats
    self.examples = examples
    self.exitCodes = exitCodes
    self.body = .action(run)
  }

  /// A verb that only groups others, as `lineage` does `record`, `shard` and `block`.
  package init(
    name: String, summary: String, discussion: String = "", examples: [Example] = [],
    verbs: [Command]
  ) {
    precondition(!verbs.isEmpty, "\(name): a group holds at least one verb")
    precondition(Set(verbs.map(\.name)).count == verbs.count, "\(name): two verbs share a name")
    self.name = name
    self.summary = summary
    self.discussion = discussion
    self.arguments = []
    self.options = []
    self.formats = [.text, .json]
    self.examples = examples
    self.exitCodes = []
    self.body = .verbs(verbs)
  }

  /// The verbs inside a group; empty for a verb that does something itself.
  package var verbs: [Command] {
    switch body {
    case .action: []
    case .verbs(let verbs): verbs
    }
  }

  /// Declared options followed by those every verb has.
  var allOptions: [CommandOption] { options + [.format(formats), .help] }

  func option(named name: String) -> CommandOption? { allOptions.first { $0.name == name } }
}

/// A value given by its position.
package struct Argument: Sendable {
  package enum Arity: Sendable {
    /// Exactly one.
    case one
    /// One or none.
    case optional
    /// Any count.
    case any
    /// One or more.
    case some

    var isRequired: Bool {
      switch self {
      case .one, .some: true
      case .optional, .any: false
      }
    }

    var repeats: Bool {
      switch self {
      case .one, .optional: false
      case .any, .some: true
      }
    }
  }

  /// Shown in capitals and asked for by this name.
  package let name: String
  package let kind: ValueKind
  package let arity: Arity
  package let help: String

  package init(_ name: String, _ kind: ValueKind = .text, arity: Arity = .one, help: String) {
    precondition(kind.takesValue, "\(name): an argument is never a flag")
    self.name = name
    self.kind = kind
    self.arity = arity
    self.help = help
  }
}

/// A value given by name: `--name VALUE`, `--name=VALUE`, or `--name` for a flag.
package struct CommandOption: Sendable {
  /// Without the dashes.
  package let name: String
  package let kind: ValueKind
  /// What stands for the value in help, as in `--from FILE`; the kind's own word if not given.
  package let placeholder: String
  /// Used when neither the command line nor the environment gives a value; shown in help.
  package let defaultValue: String?
  /// A variable read when the option is not given; shown in help. An empty one counts as not set.
  package let environmentVariable: String?
  package let isRequired: Bool
  /// May be given several times; each occurrence adds a value.
  package let repeats: Bool
  package let help: String

  /// - Precondition: a default is a value the option itself would accept, and a flag has none.
  package init(
    _ name: String, _ kind: ValueKind, placeholder: String? = nil,
    default defaultValue: String? = nil, environment environmentVariable: String? = nil,
    required isRequired: Bool = false, repeats: Bool = false, help: String
  ) {
    precondition(!name.hasPrefix("-") && !name.isEmpty, "an option's name has no dashes before it")
    precondition(
      kind.takesValue || (defaultValue == nil && !isRequired && !repeats),
      "--\(name): a flag is there or not")
    precondition(!(isRequired && defaultValue != nil), "--\(name): required, yet has a default")
    if let defaultValue {
      precondition(kind.problem(with: defaultValue) == nil, "--\(name): refuses its own default")
    }
    self.name = name
    self.kind = kind
    self.placeholder = placeholder ?? kind.placeholder
    self.defaultValue = defaultValue
    self.environmentVariable = environmentVariable
    self.isRequired = isRequired
    self.repeats = repeats
    self.help = help
  }

  static let help = CommandOption("help", .flag, help: "Show this text (also -h).")

  static func format(_ formats: [OutputFormat]) -> CommandOption {
    CommandOption(
      "format", .choice(formats.map(\.rawValue)), default: formats[0].rawValue,
      help: "How to print the result.")
  }
}

/// A command worth copying, and what it does.
package struct Example: Sendable {
  package let command: String
  package let explanation: String

  package init(_ command: String, _ explanation: String) {
    self.command = command
    self.explanation = explanation
  }
}

/// How a result is printed on standard output.
package enum OutputFormat: String, CaseIterable, Sendable {
  case text, table, json, dot, openlineage
}
