import ByteCoding
import Foundation

/// A verb's two outputs: results on one, everything said along the way on the other.
///
/// Standard output carries data only, so that it can be piped; notes, progress and errors go to
/// standard error.
package struct Console: Sendable {
  package let output: any OutputSink
  package let errors: any OutputSink
  package let outputTerminal: Terminal
  package let errorTerminal: Terminal

  package init(
    output: any OutputSink, errors: any OutputSink,
    outputTerminal: Terminal = .none, errorTerminal: Terminal = .none
  ) {
    self.output = output
    self.errors = errors
    self.outputTerminal = outputTerminal
    self.errorTerminal = errorTerminal
  }

  /// The process's own standard streams.
  package static func standard(environment: [String: String]) -> Console {
    Console(
      output: DescriptorSink.standardOutput, errors: DescriptorSink.standardError,
      outputTerminal: Terminal(descriptor: 1, environment: environment),
      errorTerminal: Terminal(descriptor: 2, environment: environment))
  }

  /// Writes one line of the result; a text that ends in a line break gets no second one.
  ///
  /// Names and reasons in it may be somebody else's words: nothing that a terminal would obey gets
  /// through.
  package func print(_ text: String) throws(OutputError) {
    try printOwn(text.visibleLines)
  }

  /// The same for a text that is all our own, with its styles.
  func printOwn(_ text: String) throws(OutputError) {
    try output.write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
  }

  /// Writes one JSON document on one line, keys sorted.
  package func printJSON(_ value: some Encodable) throws {
    try printJSON(lines: JSONText.line(value))
  }

  /// Writes JSON documents, a line each.
  package func printJSON(lines: [UInt8]) throws(OutputError) {
    try output.write(Array(String(decoding: lines, as: UTF8.self).visibleJSON.utf8))
  }

  /// Says something to the person at the terminal, behind a word of our own with its style. A lost
  /// note does not stop the work.
  package func note(_ text: some StringProtocol, lead: String = "") {
    try? errors.write(Array((lead + text.visibleLines + "\n").utf8))
  }

  /// Starts a progress display on standard error.
  ///
  /// - Parameters:
  ///   - total: how many units there are in all, where that is known.
  ///   - unit: plural, as in "steps".
  ///   - alreadyCompleted: units that were done before; they count as done, not as speed.
  package func progress(
    _ label: String, total: Int?, unit: String, alreadyCompleted: Int = 0
  ) -> ProgressReporter {
    ProgressReporter(
      meter: ProgressMeter(
        label: label, total: total, unit: unit, columnCount: errorTerminal.columnCount,
        startedAt: ProgressReporter.monotonicSeconds(), alreadyCompleted: alreadyCompleted),
      sink: errors, now: ProgressReporter.monotonicSeconds)
  }
}

/// JSON as every verb prints it: UTF-8, keys sorted, slashes as they are, dates in ISO 8601, and
/// the strings `NaN`, `Infinity`, `-Infinity` for numbers JSON has no form for.
package enum JSONText {
  /// One document without line breaks, then one line break.
  package static func line(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
  }
}
