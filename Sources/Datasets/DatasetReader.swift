import ByteCoding
import Unlearning

/// Reads a data set from the bytes of a file.
///
/// Strict: one wrong line and nothing is returned, unless skipping is asked for. The format, its
/// limits and every error are described in `Protocols/dataset.md`.
package struct DatasetReader: Sendable {
  private let labels: LabelRule
  private let skipsInvalid: Bool

  /// With `skipsInvalid`, wrong lines are left out and listed. Of records with one id the first is
  /// kept. What makes a whole file doubtful (no header, an open quote) stays an error.
  package init(labels: LabelRule, skipsInvalid: Bool = false) {
    self.labels = labels
    self.skipsInvalid = skipsInvalid
  }

  package func read(_ bytes: [UInt8], _ format: DatasetFormat) throws(DatasetError)
    -> DatasetContents
  {
    var collector = RecordCollector(labels: labels, keepsAllProblems: skipsInvalid)
    switch format {
    case .jsonLines: readJSONLines(bytes, into: &collector)
    case .csv: try readCSV(bytes, into: &collector)
    }
    return try collector.finish()
  }

  private func readJSONLines(_ bytes: [UInt8], into collector: inout RecordCollector) {
    var lines = TextLines(bytes)
    while let line = lines.next() {
      // An editor's empty last line is no record.
      if line.bytes.isEmpty && lines.isAtEnd { break }
      switch Self.fields(bytes, line.bytes.indices) {
      case .success(let fields): collector.add(fields, line: line.number)
      case .failure(let mistake):
        collector.add(DatasetProblem(line: line.number, field: mistake.field, kind: mistake.kind))
      }
    }
  }

  /// What is wrong with a line of JSON.
  private struct Mistake: Error {
    var field: DatasetField?
    let kind: DatasetProblem.Kind
  }

  private static func fields(_ bytes: [UInt8], _ range: Range<Int>) -> Result<RawFields, Mistake> {
    guard range.count <= DatasetLimits.lineByteCount else {
      return .failure(Mistake(kind: .lineTooLong(byteCount: range.count)))
    }
    guard bytes[range].contains(where: { $0 != 0x20 && $0 != 0x09 }) else {
      return .failure(Mistake(kind: .blankLine))
    }
    if let offset = firstInvalidUTF8(in: bytes, range) {
      return .failure(Mistake(kind: .notUTF8(atByte: offset)))
    }
    var scanner = JSONLineScanner(bytes, in: range)
    do {
      return .success(try scanner.scan())
    } catch {
      switch error {
      case .notAnObject: return .failure(Mistake(kind: .notAnObject))
      case .duplicateKey(let field):
        return .failure(Mistake(field: field, kind: .duplicateKey))
      case .mistake(let mistake, let offset):
        return .failure(Mistake(kind: .invalidJSON(mistake, atByte: offset)))
      }
    }
  }

  private func readCSV(_ bytes: [UInt8], into collector: inout RecordCollector) throws(DatasetError)
  {
    var scanner = CSVRowScanner(bytes)
    guard let first = scanner.next() else { return }
    let columns = try Self.columns(first, bytes)
    while let row = scanner.next() {
      switch row {
      case .unterminated(let line): throw .unterminatedQuote(line: line)
      case .malformed(let problem): collector.add(problem)
      case .cells(let cells, let range, let line):
        if range.isEmpty {
          if !scanner.isAtEnd { collector.add(DatasetProblem(line: line, kind: .blankLine)) }
        } else if let offset = firstInvalidUTF8(in: bytes, range) {
          collector.add(DatasetProblem(line: line, kind: .notUTF8(atByte: offset)))
        } else if cells.count != columns.count {
          collector.add(
            DatasetProblem(
              line: line, kind: .columnCount(found: cells.count, expected: columns.count)))
        } else {
          collector.add(Self.fields(cells, columns), line: line)
        }
      }
    }
  }

  /// An empty cell is an absent value.
  private static func fields(_ cells: [[UInt8]], _ columns: [DatasetField?]) -> RawFields {
    var fields = RawFields()
    for (cell, column) in zip(cells, columns) {
      guard let column else {
        fields.hasUnknownFields = true
        continue
      }
      if !cell.isEmpty || column.isRequired { fields[column] = .cell(cell) }
    }
    return fields
  }

  /// The field of each column; `nil` for a column that is ignored.
  private static func columns(_ header: CSVRowScanner.Row, _ bytes: [UInt8]) throws(DatasetError)
    -> [DatasetField?]
  {
    switch header {
    case .unterminated(let line): throw .unterminatedQuote(line: line)
    case .malformed(let problem): throw .header(problem)
    case .cells(let names, let range, _):
      if range.isEmpty { throw .header(DatasetProblem(line: 1, kind: .blankLine)) }
      if let offset = firstInvalidUTF8(in: bytes, range) {
        throw .header(DatasetProblem(line: 1, kind: .notUTF8(atByte: offset)))
      }
      var columnsByName: [[UInt8]: Int] = [:]
      for (index, name) in names.enumerated() {
        if let first = columnsByName.updateValue(index, forKey: name) {
          throw .columnRepeated(column: index + 1, firstColumn: first + 1)
        }
      }
      let columns = names.map { DatasetField(name: $0) }
      for field in DatasetField.allCases where field.isRequired && !columns.contains(field) {
        throw .columnMissing(field)
      }
      return columns
    }
  }
}

/// The offset in `range` of the first byte that is not part of well-formed UTF-8.
func firstInvalidUTF8(in bytes: [UInt8], _ range: Range<Int>) -> Int? {
  do {
    _ = try UTF8Span(validating: bytes.span.extracting(range))
    return nil
  } catch {
    return error.byteOffsets.lowerBound
  }
}

/// What labels may be.
package enum LabelRule: Equatable, Sendable {
  case any
  /// One of these, byte for byte.
  case classes([String])
  /// Numbers in JSON's spelling.
  case numbers

  /// The rule that declared labels make: several are classes, one alone names a number.
  package init(declared labels: [String]) {
    self = labels.count == 1 ? .numbers : .classes(labels)
  }
}
