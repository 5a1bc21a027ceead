extension DatasetProblem {
  /// What is wrong and what to do about it, in one line for a person.
  package var sentence: String {
    let place = field.map { "line \(line), \($0.rawValue): " } ?? "line \(line): "
    return place + complaint
  }

  private var complaint: String {
    switch kind {
    case .lineTooLong(let count):
      "\(count) bytes are over the limit of \(DatasetLimits.lineByteCount) for a line; "
        + "shorten or split the record"
    case .blankLine: "the line is blank; remove it"
    case .notUTF8(let byte):
      "not UTF-8 at byte \(byte + 1) of the line; convert the file to UTF-8"
    case .notAnObject: "not a JSON object; write one {…} on each line"
    case .invalidJSON(let mistake, let byte):
      "not JSON at byte \(byte + 1) of the line: \(mistake.rawValue); correct the line"
    case .duplicateKey: "the key stands twice in the object; keep one of the two"
    case .strayQuote(let byte):
      "a quote inside an unquoted field, or text after a closing quote, at byte \(byte + 1) of the "
        + "row; quote the whole field and double the quotes in it"
    case .strayCarriageReturn(let byte):
      "a carriage return without a line feed at byte \(byte + 1) of the row; end lines with LF or "
        + "CRLF, or quote the field"
    case .columnCount(let found, let expected):
      "\(found) columns where the header has \(expected); quote fields that hold commas"
    case .missing: "the field is missing; add it"
    case .empty: "the value is empty; fill it in or remove the record"
    case .wrongType(let expected): "the value has the wrong type; write \(expected)"
    case .tooLong(let count, let limit):
      "\(field?.rawValue ?? "value") over the limit: \(count) bytes, \(limit) are allowed; "
        + "shorten it"
    case .controlCharacter: "control characters are not allowed here; remove them"
    case .notAProbability: "not a number from 0 to 1; correct it or leave it out"
    case .notANumber:
      "not a number, which the run's only label asks for; correct it, or declare several labels"
    case .unknownSplit: "not one of train, validation, test; correct it or leave it out"
    case .unknownLabel(let suggestion):
      "not one of the declared labels"
        + (suggestion.map { "; did you mean \"\($0)\"?" }
          ?? "; correct it or declare the label in the run file")
    case .duplicateID(let first):
      "the id is that of line \(first) already; give each record an id of its own"
    }
  }
}

extension DatasetError {
  /// What is wrong and what to do about it, one line a problem.
  package var sentences: [String] {
    switch self {
    case .malformed(let first, let total):
      let rest = total - first.count
      return first.map(\.sentence)
        + (rest > 0 ? ["and \(rest) more; \(total) lines are malformed in all"] : [])
    case .noRecords(skippedCount: 0): return ["the file holds no records; write at least one"]
    case .noRecords(let skipped):
      return ["the file holds no valid record: all \(skipped) were skipped; correct them"]
    case .columnMissing(let field):
      return ["line 1: the header has no column \(field.rawValue); name the column exactly so"]
    case .columnRepeated(let column, let first):
      return ["line 1: column \(column) has the name of column \(first); rename or remove one"]
    case .header(let problem): return ["header, " + problem.sentence]
    case .unterminatedQuote(let line):
      return [
        "line \(line): a quote that opens in this row is never closed, so the rest of the file is "
          + "inside it; close it, or double it if it is part of the text"
      ]
    }
  }
}
