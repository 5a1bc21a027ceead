/// The values of one call, already checked against the verb's declaration.
///
/// Each getter has two forms: `integer("workers")` for an option with a default or one that is
/// required, and `integer(ifGiven: "workers")` otherwise. Asking for an undeclared name, for the
/// wrong kind, or for a value nothing guarantees is our own mistake and stops the process.
package struct ParsedArguments: Sendable {
  private let command: Command
  private let options: [String: [String]]
  private let arguments: [String: [String]]

  init(command: Command, options: [String: [String]], arguments: [String: [String]]) {
    self.command = command
    self.options = options
    self.arguments = arguments
  }

  /// What `--format` asks for; one of the verb's formats.
  package var format: OutputFormat {
    OutputFormat(rawValue: string("format")) ?? command.formats[0]
  }

  package func flag(_ name: String) -> Bool {
    precondition(!declared(name).takesValue, "\(name) is not a flag")
    return options[name] != nil
  }

  /// Every value of an option or argument, in order; empty when none was given.
  package func strings(_ name: String) -> [String] {
    _ = declared(name)
    return options[name] ?? arguments[name] ?? []
  }

  package func string(ifGiven name: String) -> String? { strings(name).first }

  package func string(_ name: String) -> String { guaranteed(string(ifGiven: name), name) }

  package func integer(ifGiven name: String) -> Int? {
    string(ifGiven: name).map { guaranteed(Int($0), name) }
  }

  package func integer(_ name: String) -> Int { guaranteed(integer(ifGiven: name), name) }

  package func byteCount(ifGiven name: String) -> Int? {
    string(ifGiven: name).map { guaranteed(bytes($0), name) }
  }

  package func byteCount(_ name: String) -> Int { guaranteed(byteCount(ifGiven: name), name) }

  package func number(ifGiven name: String) -> Double? {
    string(ifGiven: name).map { guaranteed(Double($0), name) }
  }

  package func number(_ name: String) -> Double { guaranteed(number(ifGiven: name), name) }

  /// The parts of a comma-separated option, those of repeated occurrences joined; empty when it
  /// was not given.
  package func list(_ name: String) -> [String] {
    if case .list = declared(name) {} else { preconditionFailure("\(name) is not a list") }
    return strings(name).flatMap(elements(of:))
  }

  package func integers(_ name: String) -> [Int] {
    list(name).map { guaranteed(Int($0), name) }
  }

  package func numbers(_ name: String) -> [Double] {
    list(name).map { guaranteed(Double($0), name) }
  }

  private func declared(_ name: String) -> ValueKind {
    if let option = command.option(named: name) { return option.kind }
    if let argument = command.arguments.first(where: { $0.name == name }) { return argument.kind }
    preconditionFailure("\(command.name) declares no \(name)")
  }

  private func guaranteed<Value>(_ value: Value?, _ name: String) -> Value {
    guard let value else { preconditionFailure("\(command.name) does not guarantee \(name)") }
    return value
  }
}
