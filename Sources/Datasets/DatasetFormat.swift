/// How records are written in a file.
package enum DatasetFormat: String, CaseIterable, Sendable {
  /// One JSON object a line.
  case jsonLines = "jsonl"
  /// RFC 4180 with a header row.
  case csv

  /// Goes by the name's extension: `.jsonl` or `.ndjson`, `.csv`; any case.
  package init?(fileName: String) {
    switch fileName.split(separator: ".").last?.lowercased() {
    case "jsonl", "ndjson": self = .jsonLines
    case "csv": self = .csv
    default: return nil
    }
  }
}

/// What a field of a record is called in a file.
package enum DatasetField: String, CaseIterable, Sendable {
  case id
  case text
  case textPair = "text_pair"
  case label
  case subject
  case deletionProbability
  case split

  /// Every record needs a value of these.
  package var isRequired: Bool {
    switch self {
    case .id, .text, .label: true
    case .textPair, .subject, .deletionProbability, .split: false
    }
  }
}

/// What a record is used for.
package enum DatasetSplit: String, CaseIterable, Sendable {
  case train
  case validation
  case test
}

/// Sizes a file must keep, so that no line can take the memory of the rest.
package enum DatasetLimits {
  /// A line of JSON or a row of CSV, without its line end.
  package static let lineByteCount = 1 << 20
  /// `text` and `text_pair`, each, decoded.
  package static let textByteCount = 64 << 10
  package static let labelByteCount = 256
  /// Objects and arrays inside each other, in fields that are ignored.
  package static let jsonDepth = 64
}
