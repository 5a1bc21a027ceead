import CoordinatorCore
import Hashing
import ModelFormats
import SystemIO

/// A folder that an export was written to, seen by whoever has to remove it.
///
/// Only what shows that Lethe wrote it is removed: a tensor file and a manifest name the run and
/// the artifacts they are made of. The two files beside them hold nothing trained, and go with one
/// of those. Anything else stays.
struct ExportFolder {
  let folder: Folder
  let run: String
  let artifacts: Set<String>

  enum Problem: Error {
    /// Something that no export of this run wrote stands under a name that exports use.
    case foreign(String)
    case system(SystemCallError)
  }

  private static let headerByteLimit = 16 << 20
  private static let manifestByteLimit = 1 << 20

  init(_ folder: Folder, run: String, artifacts: [Digest]) {
    self.folder = folder
    self.run = run
    self.artifacts = Set(artifacts.map(\.hex))
  }

  /// Whether one of the files that name their origin is there and is ours.
  func isOurs() throws(Problem) -> Bool {
    let (tensors, manifest) = (try hasOurTensors(), try hasOurManifest())
    return tensors == true || manifest == true
  }

  /// Removes our files, the last of them the one that says whose they are.
  func removeFiles() throws(Problem) {
    let (tensors, manifest) = (try hasOurTensors(), try hasOurManifest())
    // Not ours, or nothing of ours left: a run that crashed in between finds the second.
    if tensors == false { throw .foreign(PEFTAdapter.tensorsName) }
    if manifest == false { throw .foreign(AdapterManifest.name) }
    guard tensors == true || manifest == true else { return }
    do throws(SystemCallError) {
      for name in [
        PEFTAdapter.tensorsName, PEFTAdapter.configurationName, PEFTAdapter.loaderName,
        AdapterManifest.name,
      ] where try folder.kind(name) == .file {
        try folder.remove(name)
        try folder.synchronize()
      }
    } catch {
      throw .system(error)
    }
  }

  /// `nil` without such a file.
  private func hasOurTensors() throws(Problem) -> Bool? {
    guard let start = try read(PEFTAdapter.tensorsName, limit: 8) else { return nil }
    let length = start.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard start.count == 8, length <= UInt64(Self.headerByteLimit) else { return false }
    let bytes = try read(PEFTAdapter.tensorsName, limit: 8 + Int(length)) ?? []
    guard let header = try? JSON(parsing: Array(bytes.dropFirst(8))),
      let remarks = header["__metadata__"]
    else { return false }
    let named = remarks["artifacts"]?.string?.split(separator: ",").map(String.init) ?? []
    return remarks["lethe"]?.string == AdapterManifest.format && remarks["run"]?.string == run
      && !artifacts.isDisjoint(with: named)
  }

  private func hasOurManifest() throws(Problem) -> Bool? {
    guard let bytes = try read(AdapterManifest.name, limit: Self.manifestByteLimit) else {
      return nil
    }
    guard let manifest = try? JSON(parsing: bytes) else { return false }
    let blocks = manifest["origin"]?["blocks"]?.array ?? []
    return manifest["format"]?.string == AdapterManifest.format
      && manifest["origin"]?["run"]?.string == run
      && !artifacts.isDisjoint(with: blocks.compactMap { $0["artifact"]?.string })
  }

  private func read(_ name: String, limit: Int) throws(Problem) -> [UInt8]? {
    do throws(SystemCallError) {
      guard let kind = try folder.kind(name) else { return nil }
      if case .file = kind { return try folder.read(name, limit: limit) }
    } catch {
      throw .system(error)
    }
    throw .foreign(name)
  }
}

extension ExportFolder.Problem {
  var sentence: String {
    switch self {
    case .foreign(let name): "its \(name) is not one that this run exported, and was left"
    case .system(let error): "\(error)"
    }
  }
}
