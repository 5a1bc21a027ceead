import ModelFormats
import ServiceSupport
import SystemIO

extension AdapterFolder {
  /// Holds the files of a folder to what would be written there now.
  ///
  /// - Returns: how many tensors were compared.
  /// - Throws: `ServiceError` that names every difference, the first few tensors by name.
  func compare(with folder: String) throws -> Int {
    var differences = try tensorDifferences(
      FileSystem.read("\(folder)/\(PEFTAdapter.tensorsName)"))
    for file in files where file.name != PEFTAdapter.tensorsName {
      guard FileSystem.exists("\(folder)/\(file.name)") else {
        differences.append("\(file.name) is missing")
        continue
      }
      let found = try FileSystem.read("\(folder)/\(file.name)")
      let isEqual =
        file.name == AdapterManifest.name
        ? Self.lasting(found) == Self.lasting(file.bytes) : found == file.bytes
      if !isEqual { differences.append("\(file.name) says something else") }
    }
    guard differences.isEmpty else {
      let more = differences.count > 5 ? "; and \(differences.count - 5) more" : ""
      throw ServiceError(
        .badData,
        "\(folder) is not what is served now: "
          + differences.prefix(5).joined(separator: "; ") + more,
        try: "export it again, without --check, if blocks were retrained since")
    }
    return adapter.tensors.count
  }

  /// Every tensor by name, shape and bits, and what the file's header says of its origin.
  private func tensorDifferences(_ bytes: [UInt8]) throws -> [String] {
    let file: SafetensorsFile
    do {
      file = try SafetensorsFile(bytes)
    } catch {
      return ["\(PEFTAdapter.tensorsName): \(error)"]
    }
    var differences: [String] = []
    let expected = adapter.tensors
    for tensor in expected {
      do {
        let found = try file.floats(tensor.name, shape: tensor.shape)
        let place = zip(found, tensor.values).enumerated().first {
          $0.element.0.bitPattern != $0.element.1.bitPattern
        }
        if let place {
          differences.append(
            "\(tensor.name) differs at element \(place.offset): \(place.element.0), the block has "
              + "\(place.element.1)")
        }
      } catch {
        differences.append("\(error)")
      }
    }
    let names = Set(expected.map(\.name))
    for tensor in file.tensors where !names.contains(tensor.name) {
      differences.append("tensor '\(tensor.name)' belongs to no block")
    }
    let metadata = Dictionary(file.metadata, uniquingKeysWith: { first, _ in first })
    if metadata != manifest.metadata.merging(["format": "pt"], uniquingKeysWith: { _, new in new })
    {
      differences.append("\(PEFTAdapter.tensorsName): __metadata__ says something else")
    }
    return differences
  }

  /// A manifest without what goes on growing while the blocks stay, and without the logits, whose
  /// last digits belong to the machine that computed them.
  private static func lasting(_ bytes: [UInt8]) -> JSON? {
    guard case .object(let members) = try? JSON(parsing: bytes) else { return nil }
    return .object(
      members.filter { $0.name != "logits" }.map { member in
        guard case .object(let inner) = member.value else { return member }
        return (member.name, .object(inner.filter { $0.name != "ledgerSize" }))
      })
  }
}
