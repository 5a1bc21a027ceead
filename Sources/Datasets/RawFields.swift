/// A value as the file has it.
enum RawValue {
  /// A JSON string, decoded.
  case string([UInt8])
  /// A JSON number, as it is spelt.
  case number([UInt8])
  /// `true` or `false`, an object or an array: no field takes one.
  case other
  /// A CSV cell: text or number, as the field likes.
  case cell([UInt8])
}

/// The values of one line, not yet judged.
struct RawFields {
  /// By `DatasetField.index`; `nil` for absent and for JSON's `null`.
  private var values: [RawValue?] = Array(repeating: nil, count: DatasetField.allCases.count)
  var hasUnknownFields = false

  subscript(field: DatasetField) -> RawValue? {
    get { values[field.index] }
    set { values[field.index] = newValue }
  }
}

extension DatasetField {
  /// Its place among all fields.
  var index: Int {
    switch self {
    case .id: 0
    case .text: 1
    case .textPair: 2
    case .label: 3
    case .subject: 4
    case .deletionProbability: 5
    case .split: 6
    }
  }

  /// The field of that name, compared as bytes.
  init?(name: some Collection<UInt8>) {
    guard let field = Self.names.first(where: { $0.name.elementsEqual(name) })?.field else {
      return nil
    }
    self = field
  }

  private static let names = allCases.map { (name: Array($0.rawValue.utf8), field: $0) }
}
