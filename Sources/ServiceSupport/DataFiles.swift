import Datasets
import SystemIO
import Unlearning

/// Where a run file's relative path leads.
package func resolve(_ path: String, base: String) -> String {
  path.hasPrefix("/") ? path : "\(base)/\(path)"
}

/// Reads one data file by the rules of its ending; the training records in the file's order.
///
/// - Parameter labels: those declared; `nil` takes any.
package func readDataset(_ path: String, labels: [String]?) throws -> [Record] {
  try readDatasetContents(path, labels: labels).training
}

package func readDatasetContents(_ path: String, labels: [String]?) throws -> DatasetContents {
  guard FileSystem.exists(path) else {
    throw ServiceError(
      .missingInput, "there is no file \(path)", try: "give the path of the data as it is from here"
    )
  }
  guard let format = DatasetFormat(fileName: path) else {
    throw ServiceError(
      .badData, "\(path): the ending says neither JSONL nor CSV", try: "name it .jsonl or .csv")
  }
  let bytes: [UInt8]
  do {
    bytes = try FileSystem.read(path)
  } catch {
    throw ServiceError(error, while: "reading the data")
  }
  do {
    return try DatasetReader(labels: labels.map(LabelRule.init(declared:)) ?? .any).read(
      bytes, format)
  } catch {
    throw ServiceError(
      .badData, (["\(path):"] + error.sentences).joined(separator: "\n  "),
      try: "correct these lines; nothing was ingested")
  }
}
