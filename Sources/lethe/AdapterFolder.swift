import ModelFormats
import ServiceSupport
import SystemIO
import WorkerService

/// Reads a PEFT folder.
func readAdapter(_ folder: String) throws -> PEFTAdapter {
  func bytes(_ name: String) throws -> [UInt8] {
    do {
      return try FileSystem.read("\(folder)/\(name)")
    } catch {
      throw ServiceError(
        .missingInput, "the adapter folder has no readable \(name): \(error)",
        try: "give a folder that PEFT or lethe export wrote")
    }
  }
  do {
    return try PEFTAdapter(
      configuration: try bytes(PEFTAdapter.configurationName),
      tensors: try bytes(PEFTAdapter.tensorsName))
  } catch let error as PEFTError {
    throw ServiceError(.badData, "\(folder): \(error)", try: "export the adapter again")
  }
}

/// Writes a PEFT folder.
func writeAdapter(_ adapter: PEFTAdapter, to folder: String) throws {
  let files = adapter.encode()
  try FileSystem.createDirectory(folder)
  try FileSystem.replace("\(folder)/\(PEFTAdapter.tensorsName)", with: files.tensors)
  try FileSystem.replace("\(folder)/\(PEFTAdapter.configurationName)", with: files.configuration)
}
