import CoordinatorAPI
import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import Unlearning

extension CoordinatorService {
  private static let maximumArtifactCount = 4096
  private static let maximumCopyCount = 10_000

  /// `POST /v1/exports`: remembers an export, so that a deletion that masks one of its blocks
  /// removes it.
  func noteExport(_ request: CopyRequest) throws -> CopyRequest {
    let path = try checkedPath(request, .export)
    let artifacts = try Self.artifacts(of: request)
    try checkExport(path, artifacts)
    try note(
      OutsideCopy(
        kind: .export, path: path.text, artifacts: artifacts, at: SystemClock.wallMilliseconds))
    return CopyRequest(path: path.text, artifacts: artifacts.map(\.hex))
  }

  func checkedPath(_ request: CopyRequest, _ kind: OutsideCopy.Kind) throws -> AbsolutePath {
    do throws(OutsideFolders.Refusal) {
      return try outside.path(request.path, for: kind)
    } catch {
      throw error.failure(kind.word)
    }
  }

  private static func artifacts(of request: CopyRequest) throws -> [Digest] {
    let texts = request.artifacts ?? []
    guard (1...maximumArtifactCount).contains(texts.count) else {
      throw APIFailure(
        400, "artifacts names \(texts.count) artifacts, not 1 to \(maximumArtifactCount)",
        try: "name what the export was made of: lethe export does")
    }
    return try texts.map { text in
      // One that was dropped would be one whose deletion removes nothing.
      guard let digest = Digest(hex: text), digest.hex == text else {
        throw APIFailure(
          400, "an artifact is named by 64 lower-case hexadecimal digits",
          try: "name artifacts as the lineage shows them")
      }
      return digest
    }
  }

  /// Whatever this machine sees at the path must be an export of these blocks. Nothing there is
  /// taken too, as the export may be on another machine: a purge will say that it cannot reach it.
  private func checkExport(_ path: AbsolutePath, _ artifacts: [Digest]) throws {
    do throws(OutsideFolders.Refusal) {
      let parent = try outside.parent(of: path, .export)
      guard let kind = try known({ () throws(SystemCallError) in try parent.kind(path.lastName) })
      else { return }
      guard case .folder = kind else { throw .notExport(path.text) }
      let folder = try known { () throws(SystemCallError) in try parent.folder(path.lastName) }
      guard !outside.isOwn(folder) else { throw .insideRun(path.text) }
      let export = ExportFolder(
        folder, run: loop.inspect { $0.state.run.name }, artifacts: artifacts)
      guard (try? export.isOurs()) == true else { throw .notExport(path.text) }
    } catch {
      if case .system(let error) = error, error.isNotFound { return }
      throw error.failure(OutsideCopy.Kind.export.word)
    }
  }

  private func known<Value>(_ body: () throws(SystemCallError) -> Value)
    throws(OutsideFolders.Refusal) -> Value
  {
    do throws(SystemCallError) { return try body() } catch { throw .system(error) }
  }

  func note(_ copy: OutsideCopy) throws {
    let (count, isKnown) = loop.inspect {
      ($0.state.copies.count, $0.state.copies[copy.path] != nil)
    }
    guard isKnown || count < Self.maximumCopyCount else {
      throw APIFailure(
        422, "the run knows of \(count) exports and backups already",
        try: "lethe exports forget those that are gone")
    }
    loop.post(.copied(copy))
    // Answered only once the entry is durable.
    loop.inspect { _ in }
  }

  // MARK: - What is known of exports

  /// `GET /v1/exports`: every copy outside the run's directory, and what a purge makes of it.
  func exports() -> CopyList {
    loop.inspect { coordinator in
      let stale = Set(coordinator.state.staleExports.map(\.path))
      return CopyList(
        copies: coordinator.state.copies.values.sorted { $0.path < $1.path }.map { copy in
          let removal = coordinator.exportRemovals[copy.path]
          return CopyList.Item(
            path: copy.path, kind: copy.kind.word, at: Timestamp.text(copy.at),
            state: !stale.contains(copy.path)
              ? "current" : removal?.reason == nil ? "being removed" : "out of reach",
            since: removal.map { Timestamp.text($0.since.wall) }, reason: removal?.reason)
        })
    }
  }

  /// `POST /v1/exports/forget`: the operator's word that nothing is left at a path.
  func forgetExport(_ request: CopyPath) throws -> CopyPath {
    guard let copy = loop.inspect({ $0.state.copies[request.path] }) else {
      throw APIFailure(
        404, "the run knows of no export or backup at this path", try: "lethe exports lists them")
    }
    loop.post(.copyRemoved(path: copy.path))
    loop.inspect { _ in }
    log.write(.exportForgotten)
    return request
  }

  // MARK: - Removing

  /// Removes what Lethe wrote into an export, and says what came of it; on a thread of its own
  /// kind, as a disk that a network has taken away can keep it for ever.
  func remove(_ copy: OutsideCopy) {
    exportLanes.makeLane().add { [self] in
      let problem = problemRemoving(copy)
      loop.post(.exportReported(copy, problem: problem))
      // Answered once it is durable; a crash before this finds a folder without files of ours.
      loop.inspect { _ in }
      if let problem {
        log.write(.exportOutOfReach, nil, [.error: .text(problem)])
      } else {
        removeEmptyFolder(copy)
        log.write(.exportRemoved)
      }
    }
  }

  private func problemRemoving(_ copy: OutsideCopy) -> String? {
    do {
      let path = try OutsideFolders.parse(copy.path)
      let parent = try outside.parent(of: path, .export)
      switch try parent.kind(path.lastName) {
      case nil:
        return "nothing is there: it was moved or removed, or its disk is not mounted"
      case .file, .other: return "it is not a folder any more"
      case .folder: break
      }
      let folder = try parent.folder(path.lastName)
      guard !outside.isOwn(folder) else { return "it is the run's own folder" }
      let name = loop.inspect { $0.state.run.name }
      try ExportFolder(folder, run: name, artifacts: copy.artifacts).removeFiles()
      return nil
    } catch let refusal as OutsideFolders.Refusal {
      return refusal.sentence
    } catch let problem as ExportFolder.Problem {
      return problem.sentence
    } catch {
      return "\(error)"
    }
  }

  private func removeEmptyFolder(_ copy: OutsideCopy) {
    guard let path = try? OutsideFolders.parse(copy.path),
      let parent = try? outside.parent(of: path, .export)
    else { return }
    if (try? parent.removeFolderIfEmpty(path.lastName)) == true { try? parent.synchronize() }
  }
}

extension OutsideCopy.Kind {
  var word: String {
    switch self {
    case .export: "export"
    case .backup: "backup"
    }
  }
}
