/// A failure told to a person: what happened, where, and what to do about it.
///
/// Libraries throw their own typed errors; the edge turns them into one of these, through the
/// `explain` closure of `CommandLineTool` or by throwing it itself.
package struct UserFacingError: Error, Equatable, Sendable {
  /// What happened, led by the place where it did, as in `records.jsonl:12: no "id"`.
  package let message: String
  /// What to do next, as a command or a short sentence; empty when nothing can be advised.
  package let hint: String
  package let exitCode: ExitCode

  /// - Parameters:
  ///   - place: a file, `file:line`, address or option; leads the message.
  package init(
    _ message: String, at place: String? = nil, try hint: String = "",
    exitCode: ExitCode = .failure
  ) {
    self.message = place.map { "\($0): \(message)" } ?? message
    self.hint = hint
    self.exitCode = exitCode
  }

  /// The call itself was wrong, in a way the option table cannot express.
  package static func usage(_ message: String, try hint: String = "") -> UserFacingError {
    UserFacingError(message, try: hint, exitCode: .usage)
  }

  /// `TOOL: error: MESSAGE`, with `  try: HINT` below where there is one.
  package func text(tool: String) -> String {
    hint.isEmpty
      ? "\(tool): error: \(message)"
      : "\(tool): error: \(message)\n  try: \(hint)"
  }
}

/// The shape of a failure under `--format json`: `{"error":{"exitCode","hint","message"}}`.
struct ErrorDocument: Encodable {
  struct Body: Encodable {
    let exitCode: Int32
    let hint: String
    let message: String
  }

  let error: Body

  init(_ failure: UserFacingError) {
    error = Body(
      exitCode: failure.exitCode.rawValue, hint: failure.hint, message: failure.message)
  }
}
