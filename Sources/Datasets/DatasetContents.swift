import Unlearning

/// The records of a file, in the file's order.
package struct DatasetContents: Equatable, Sendable {
  /// What the system is trained on; `split` is `train` or absent.
  package var training: [Record] = []
  /// What only reports: kept out of training altogether.
  package var evaluation: [EvaluationRecord] = []
  /// Every line that was left out, in the file's order; empty unless skipping was asked for.
  package var skipped: [DatasetProblem] = []
  /// What a person may want to know, though nothing is wrong.
  package var notes: [Note] = []

  /// A record that is predicted and never learnt.
  package struct EvaluationRecord: Equatable, Sendable {
    package let split: DatasetSplit
    package let record: Record
  }

  package enum Note: Equatable, Sendable {
    /// Keys or columns that no field is called; how many lines hold some.
    case unknownFieldsIgnored(lineCount: Int)

    package var sentence: String {
      switch self {
      case .unknownFieldsIgnored(let count):
        "fields other than \(DatasetField.allCases.map(\.rawValue).joined(separator: ", ")) were "
          + "ignored on \(count) \(count == 1 ? "line" : "lines")"
      }
    }
  }
}
