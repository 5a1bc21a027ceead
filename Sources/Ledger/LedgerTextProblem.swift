/// Why a text is not a checkpoint or a ledger entry.
///
/// Every value has exactly one text, so anything a writer would not write is refused.
package enum LedgerTextProblem: Error, Equatable, Sendable {
  /// The first line names no kind of entry this build knows.
  case unknownKind
  /// A line, counted from 1, is missing or is not what its place asks for.
  case line(Int, expected: String)
  /// Lines follow the last one.
  case trailing(line: Int)
}
