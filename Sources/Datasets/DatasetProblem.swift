/// What is wrong with one line of a data set, without repeating what the line says.
package struct DatasetProblem: Equatable, Sendable {
  /// From 1; a row that spans lines is named by its first.
  package let line: Int
  /// The field at fault; `nil` if it is the line as a whole.
  package let field: DatasetField?
  package let kind: Kind

  package init(line: Int, field: DatasetField? = nil, kind: Kind) {
    self.line = line
    self.field = field
    self.kind = kind
  }

  package enum Kind: Equatable, Sendable {
    // The line.
    case lineTooLong(byteCount: Int)
    case blankLine
    case notUTF8(atByte: Int)
    // JSON.
    case notAnObject
    case invalidJSON(JSONMistake, atByte: Int)
    /// A known field, or with no field another key, stands twice.
    case duplicateKey
    // CSV.
    case strayQuote(atByte: Int)
    case strayCarriageReturn(atByte: Int)
    case columnCount(found: Int, expected: Int)
    // Values.
    case missing
    case empty
    case wrongType(expected: String)
    case tooLong(byteCount: Int, limit: Int)
    case controlCharacter
    case notAProbability
    case notANumber
    case unknownSplit
    /// `suggestion` is the declared label that is spelt most alike, if one is close.
    case unknownLabel(suggestion: String?)
    case duplicateID(firstLine: Int)
  }

  /// What a JSON parser stumbled over.
  package enum JSONMistake: String, Sendable {
    case unexpectedEnd = "the line ends inside the object"
    case expectedKey = "a key in double quotes belongs here"
    case expectedColon = "a colon belongs here"
    case expectedComma = "a comma or the closing bracket belongs here"
    case expectedValue = "a value belongs here"
    case badNumber = "this is not a JSON number"
    case badEscape = "this escape is not one of JSON's"
    case loneSurrogate = "half of a surrogate pair stands alone"
    case controlCharacter = "control characters must be escaped"
    case tooDeep = "too many brackets inside each other"
    case trailing = "something follows the object"
  }
}

/// Why a data set was not read.
package enum DatasetError: Error, Equatable, Sendable {
  /// Some lines are wrong and skipping was not asked for: the first twenty and how many there are.
  case malformed(first: [DatasetProblem], totalCount: Int)
  /// Not a single record: an empty file, a lone header, or nothing left after skipping.
  case noRecords(skippedCount: Int)
  case columnMissing(DatasetField)
  /// The header names a column twice; columns count from 1.
  case columnRepeated(column: Int, firstColumn: Int)
  /// The header row itself cannot be read.
  case header(DatasetProblem)
  /// A quote is never closed, so all that follows is inside it and nothing can be trusted.
  case unterminatedQuote(line: Int)

  /// Problems that are listed before the rest is only counted.
  package static let listedProblemCount = 20
}
