import Unlearning

/// Gathers a file's records and problems, line by line.
struct RecordCollector {
  private var builder: RecordBuilder
  /// Skipped lines are all listed; otherwise the first few are enough and the rest is counted.
  private let keepsAllProblems: Bool
  private var contents = DatasetContents()
  private var problems: [DatasetProblem] = []
  private var problemCount = 0
  private var unknownFieldLineCount = 0
  private var lineByID: [RecordID: Int] = [:]

  init(labels: LabelRule, keepsAllProblems: Bool) {
    builder = RecordBuilder(labels: labels)
    self.keepsAllProblems = keepsAllProblems
  }

  mutating func add(_ problem: DatasetProblem) {
    problemCount += 1
    if keepsAllProblems || problems.count < DatasetError.listedProblemCount {
      problems.append(problem)
    }
  }

  mutating func add(_ fields: RawFields, line: Int) {
    if fields.hasUnknownFields { unknownFieldLineCount += 1 }
    do {
      let built = try builder.build(fields)
      if let firstLine = lineByID.updateValue(line, forKey: built.record.id) {
        lineByID[built.record.id] = firstLine
        return add(
          DatasetProblem(line: line, field: .id, kind: .duplicateID(firstLine: firstLine)))
      }
      switch built.split {
      case .train: contents.training.append(built.record)
      case .validation, .test:
        contents.evaluation.append(
          DatasetContents.EvaluationRecord(split: built.split, record: built.record))
      }
    } catch {
      add(DatasetProblem(line: line, field: error.field, kind: error.kind))
    }
  }

  consuming func finish() throws(DatasetError) -> DatasetContents {
    guard problemCount == 0 || keepsAllProblems else {
      throw .malformed(first: problems, totalCount: problemCount)
    }
    guard !lineByID.isEmpty else { throw .noRecords(skippedCount: problemCount) }
    contents.skipped = problems
    if unknownFieldLineCount > 0 {
      contents.notes.append(.unknownFieldsIgnored(lineCount: unknownFieldLineCount))
    }
    return contents
  }
}
