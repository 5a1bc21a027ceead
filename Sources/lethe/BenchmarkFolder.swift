import SystemIO

/// Where a benchmark writes: a folder that was asked for and stays, or one that goes with it.
struct BenchmarkFolder {
  let path: String
  private let isTemporary: Bool

  /// Makes the folder, if it is not there yet.
  init(_ given: String?) throws {
    isTemporary = given == nil
    path =
      given.map(absolute)
      ?? "\(SystemProcess.environment("TMPDIR") ?? "/tmp")/lethe-bench-\(SystemProcess.identifier)"
    try FileSystem.createDirectory(path)
  }

  func removeIfTemporary() {
    if isTemporary { try? FileSystem.removeTree(path) }
  }
}
