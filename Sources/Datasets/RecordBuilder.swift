import Unlearning

/// Judges the values of one line and makes them a record.
struct RecordBuilder {
  /// A record and where it belongs.
  struct Built {
    let record: Record
    let split: DatasetSplit
  }

  /// Why a line makes no record; the reader adds the line.
  struct Refusal: Error {
    let field: DatasetField
    let kind: DatasetProblem.Kind
  }

  private let rule: LabelRule
  /// Declared labels as bytes, which tell apart what Swift's strings do not.
  private let classes: [[UInt8]: String]
  /// A suggestion costs more than a line; only problems that are shown get one.
  private var suggestionsLeft = DatasetError.listedProblemCount

  init(labels: LabelRule) {
    rule = labels
    if case .classes(let declared) = labels {
      classes = Dictionary(
        declared.map { (Array($0.utf8), $0) }, uniquingKeysWith: { first, _ in first })
    } else {
      classes = [:]
    }
  }

  /// Takes the first field that is wrong as the line's problem.
  mutating func build(_ fields: RawFields) throws(Refusal) -> Built {
    let id = try identifier(fields, .id)
    guard let id else { throw Refusal(field: .id, kind: .missing) }
    let text = try text(fields, .text)
    guard let text else { throw Refusal(field: .text, kind: .missing) }
    let record = Record(
      id: id, subject: try identifier(fields, .subject), text: text,
      textPair: try self.text(fields, .textPair), label: try label(fields),
      deletionProbability: try probability(fields))
    return Built(record: record, split: try split(fields))
  }

  /// A string, or an integer by its digits.
  private func bytes(_ fields: RawFields, _ field: DatasetField) throws(Refusal) -> [UInt8]? {
    switch fields[field] {
    case nil: return nil
    case .string(let bytes), .cell(let bytes): return bytes
    case .number(let digits) where field.takesIntegers && JSONGrammar.isInteger(digits):
      return digits
    case .number, .other:
      throw Refusal(
        field: field,
        kind: .wrongType(expected: field.takesIntegers ? "a string or an integer" : "a string"))
    }
  }

  private func identifier(_ fields: RawFields, _ field: DatasetField) throws(Refusal) -> RecordID? {
    guard let bytes = try bytes(fields, field) else { return nil }
    do {
      return try RecordID(bytes)
    } catch {
      switch error {
      case .empty: throw Refusal(field: field, kind: .empty)
      case .tooLong(let count):
        throw Refusal(field: field, kind: .tooLong(byteCount: count, limit: RecordID.byteLimit))
      case .controlCharacter: throw Refusal(field: field, kind: .controlCharacter)
      case .notUTF8: throw Refusal(field: field, kind: .notUTF8(atByte: 0))
      }
    }
  }

  private func text(_ fields: RawFields, _ field: DatasetField) throws(Refusal) -> String? {
    guard let bytes = try bytes(fields, field) else { return nil }
    guard !bytes.isEmpty || !field.isRequired else { throw Refusal(field: field, kind: .empty) }
    let limit = DatasetLimits.textByteCount
    guard bytes.count <= limit else {
      throw Refusal(field: field, kind: .tooLong(byteCount: bytes.count, limit: limit))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private mutating func label(_ fields: RawFields) throws(Refusal) -> String {
    if rule == .numbers { return try number(fields) }
    guard let bytes = try bytes(fields, .label) else {
      throw Refusal(field: .label, kind: .missing)
    }
    guard !bytes.isEmpty else { throw Refusal(field: .label, kind: .empty) }
    let limit = DatasetLimits.labelByteCount
    guard bytes.count <= limit else {
      throw Refusal(field: .label, kind: .tooLong(byteCount: bytes.count, limit: limit))
    }
    guard rule != .any else { return String(decoding: bytes, as: UTF8.self) }
    guard let declared = classes[bytes] else {
      suggestionsLeft -= 1
      let suggestion =
        suggestionsLeft >= 0 ? closestSpelling(to: bytes, among: Array(classes.keys)) : nil
      throw Refusal(
        field: .label,
        kind: .unknownLabel(suggestion: suggestion.map { String(decoding: $0, as: UTF8.self) }))
    }
    return declared
  }

  /// A label that is a number keeps its spelling.
  private func number(_ fields: RawFields) throws(Refusal) -> String {
    let digits: [UInt8]
    switch fields[.label] {
    case nil: throw Refusal(field: .label, kind: .missing)
    case .number(let spelt), .cell(let spelt), .string(let spelt): digits = spelt
    case .other: throw Refusal(field: .label, kind: .wrongType(expected: "a number"))
    }
    let text = String(decoding: digits, as: UTF8.self)
    guard digits.count <= DatasetLimits.labelByteCount, JSONGrammar.isNumber(digits),
      Double(text)?.isFinite == true
    else { throw Refusal(field: .label, kind: .notANumber) }
    return text
  }

  private func probability(_ fields: RawFields) throws(Refusal) -> Double? {
    let digits: [UInt8]
    switch fields[.deletionProbability] {
    case nil: return nil
    case .number(let spelt), .cell(let spelt): digits = spelt
    case .string, .other:
      throw Refusal(field: .deletionProbability, kind: .wrongType(expected: "a number"))
    }
    // The grammar first: the library's parser also takes `nan`, `inf` and hexadecimal.
    guard JSONGrammar.isNumber(digits), let value = Double(String(decoding: digits, as: UTF8.self)),
      value >= 0, value <= 1
    else { throw Refusal(field: .deletionProbability, kind: .notAProbability) }
    // Minus zero equals zero but is other bits, and bits make digests.
    return value == 0 ? 0 : value
  }

  private func split(_ fields: RawFields) throws(Refusal) -> DatasetSplit {
    guard let bytes = try bytes(fields, .split) else { return .train }
    let named = DatasetSplit.allCases.first { bytes.elementsEqual($0.rawValue.utf8) }
    guard let named else { throw Refusal(field: .split, kind: .unknownSplit) }
    return named
  }
}

extension DatasetField {
  /// Names that people often number.
  fileprivate var takesIntegers: Bool {
    switch self {
    case .id, .label, .subject: true
    case .text, .textPair, .deletionProbability, .split: false
    }
  }
}
