import CoordinatorCore
import SystemIO

/// Where exports and backups may lie: in folders that the run file allows, never in the run's own.
///
/// A path is walked name by name through descriptors that follow no link. Only the folder that the
/// run file names may be one: it is the operator's word.
struct OutsideFolders: Sendable {
  /// `nil` where the run file names none: then anywhere but in the run's own folders.
  let exports: [AbsolutePath]?
  let backups: [AbsolutePath]?
  /// The run's directory and its journal's.
  let own: [String]

  enum Refusal: Error {
    case path(AbsolutePath.Problem)
    /// In none of the folders that the run file names for this.
    case notAllowed([AbsolutePath])
    case insideRun(String)
    /// What is there is no export of the blocks that were named.
    case notExport(String)
    case system(SystemCallError)
  }

  private func roots(of kind: OutsideCopy.Kind) -> [AbsolutePath]? {
    switch kind {
    case .export: exports
    case .backup: backups
    }
  }

  /// A path that a copy of this kind may be written to.
  func path(_ text: String, for kind: OutsideCopy.Kind) throws(Refusal) -> AbsolutePath {
    let path = try Self.parse(text)
    if let roots = roots(of: kind), !roots.contains(where: { path.isBelow($0) }) {
      throw .notAllowed(roots)
    }
    return path
  }

  static func parse(_ text: String) throws(Refusal) -> AbsolutePath {
    do throws(AbsolutePath.Problem) {
      return try AbsolutePath(text)
    } catch {
      throw .path(error)
    }
  }

  /// Opens the folder that a path lies in.
  ///
  /// - Parameter making: Whether to make the folders that are not there.
  func parent(
    of path: AbsolutePath, _ kind: OutsideCopy.Kind, making: Bool = false
  ) throws(Refusal) -> Folder {
    // From the innermost folder that the run file names, or else from the root.
    let root = roots(of: kind)?.filter { path.isBelow($0) }.max { $0.names.count < $1.names.count }
    let own = own.compactMap { try? Folder(trusted: $0).identity }
    let reached: Folder
    do throws(SystemCallError) {
      var folder = try Folder(trusted: root?.text ?? "/")
      for name in path.names.dropFirst(root?.names.count ?? 0).dropLast() {
        guard !own.contains(folder.identity) else { break }
        folder = making ? try folder.folderMaking(name) : try folder.folder(name)
      }
      reached = folder
    } catch {
      throw .system(error)
    }
    guard !own.contains(reached.identity) else { throw .insideRun(reached.path) }
    return reached
  }

  /// Whether a folder is one of the run's own.
  func isOwn(_ folder: Folder) -> Bool {
    own.contains { (try? Folder(trusted: $0).identity) == folder.identity }
  }
}

extension OutsideFolders.Refusal {
  /// What happened, as a sentence without its end.
  var sentence: String {
    switch self {
    case .path(let problem): "the path \(problem.words)"
    case .notAllowed: "the path is in none of the folders that the run file allows"
    case .insideRun(let folder): "\(folder) is the run's own folder"
    case .notExport(let path): "\(path) is no folder that an export of these blocks was written to"
    case .system(let error):
      error.isLink || error.isNoFolder
        ? "a link or a file stands in the way: \(error)" : "\(error)"
    }
  }

  /// The answer to a client.
  func failure(_ what: String) -> APIFailure {
    switch self {
    case .path(.tooLong), .path(.nameTooLong), .path(.relative), .path(.root), .path(.dots),
      .path(.controlCharacter):
      APIFailure(400, sentence, try: "give an absolute path in plain names")
    case .notAllowed(let folders):
      APIFailure(
        403, sentence,
        try: folders.isEmpty
          ? "the run file allows no folder for \(what)s"
          : "use a folder below \(folders.map(\.text).joined(separator: " or "))")
    case .insideRun: APIFailure(403, sentence, try: "choose a folder outside the run's")
    case .notExport:
      APIFailure(422, sentence, try: "write it with lethe export, which registers it")
    case .system(let error):
      APIFailure(
        error.isDiskFull ? 507 : 422, sentence,
        try: error.isDiskFull
          ? "free space there, or choose another disk"
          : error.isDenied || error.isReadOnly
            ? "choose a folder that the coordinator's user may write to"
            : "choose a folder that is reached without links")
    }
  }
}
