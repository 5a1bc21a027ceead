import CoordinatorCore
import ServiceSupport
import Storage
import Unlearning

extension ServiceError {
  private static let restore = "restore the data directory from a backup; nothing was changed"

  /// A slice's file does not hold the records it must.
  init(_ location: SliceLocation, holds found: Int, of expected: Int, path: String) {
    self.init(
      .failure,
      "slice \(location.slice) of shard \(location.shard) holds \(found) of the \(expected) "
        + "records it should (\(path))",
      try: Self.restore)
  }

  init(_ error: SliceError) {
    switch error {
    case .system(let error): self.init(error, while: "reading records")
    case .damaged(let location, let path):
      self.init(
        .failure,
        "the records of slice \(location.slice) of shard \(location.shard) are damaged or gone "
          + "(\(path))",
        try: Self.restore)
    }
  }

  init(_ problem: RecordTableProblem, path: String) {
    switch problem {
    case .notATable:
      self.init(.failure, "\(path) is no record table", try: Self.restore)
    case .unsupportedFormat(let version):
      self.init(
        .failure, "\(path) has the format \(version), which this version cannot read",
        try: "continue the run with the version that made it")
    case .damagedHeader:
      self.init(.failure, "\(path) is damaged at its beginning", try: Self.restore)
    case .wrongLength(let expected, let found):
      self.init(
        .failure, "\(path) has \(found) bytes and should have \(expected)", try: Self.restore)
    case .otherRun:
      self.init(
        .failure, "\(path) belongs to another run, or tombstone.key does",
        try: "put both back as they were, or restore the data directory from a backup")
    case .wrongRecords(let location, let expected, let found, let row):
      let place = row.map { "; row \($0) is damaged" } ?? ""
      self.init(
        .failure,
        "\(path) has \(found) records in slice \(location.slice) of shard \(location.shard), which "
          + "are not the \(expected) that the journal says\(place)",
        try: Self.restore)
    }
  }
}
