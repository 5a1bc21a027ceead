import Foundation

/// The checkout the tests were built from.
enum Repository {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Paths from the root, sorted: what git tracks or would add; without git, what lies there
  /// outside the folders `.gitignore` names.
  static let paths: [String] = (trackedPaths() ?? foundPaths())
    .filter { FileManager.default.fileExists(atPath: root.appending(path: $0).path) }
    .sorted()

  static func paths(under folder: String, suffix: String = "") -> [String] {
    paths.filter { $0.hasPrefix(folder + "/") && $0.hasSuffix(suffix) }
  }

  static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// The lines of a text file; none for a file that is not text.
  static func lines(_ path: String) -> [Substring] {
    guard let text = try? text(path) else { return [] }
    return text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  private static func trackedPaths() -> [String]? {
    let git = Process()
    git.executableURL = URL(filePath: "/usr/bin/env")
    git.arguments = [
      "git", "-C", root.path, "ls-files", "-z", "--cached", "--others", "--exclude-standard",
    ]
    let output = Pipe()
    git.standardOutput = output
    git.standardError = FileHandle.nullDevice
    guard (try? git.run()) != nil else { return nil }
    let listing = output.fileHandleForReading.readDataToEndOfFile()
    git.waitUntilExit()
    guard git.terminationStatus == 0 else { return nil }
    return listing.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func foundPaths() -> [String] {
    let ignored = [".git", ".build", ".cache", "__pycache__"]
    let found = FileManager.default.enumerator(atPath: root.path)
    return (found?.compactMap { $0 as? String } ?? []).filter { path in
      let values = try? root.appending(path: path).resourceValues(forKeys: [.isRegularFileKey])
      return values?.isRegularFile == true
        && !path.split(separator: "/").contains { part in
          ignored.contains { $0 == part } || part.hasSuffix(".lethe")
        }
    }
  }
}
