import Foundation
import Testing

/// Rules a reviewer would otherwise have to remember.
@Suite("Repository") struct RepositoryTests {
  private static let codeSuffixes = [
    ".swift", ".h", ".c", ".py", ".bash", ".service", ".modulemap", ".yml", ".yaml",
  ]

  /// Scripts people start: in `ops/` itself, without a suffix, and `.ci/run`.
  static let scripts = Repository.paths.filter { path in
    path == ".ci/run"
      || (path.hasPrefix("ops/") && !path.dropFirst(4).contains { "/.".contains($0) })
  }

  private static func isCode(_ path: String) -> Bool {
    scripts.contains(path) || codeSuffixes.contains { path.hasSuffix($0) }
  }

  @Test("finds its own files")
  func finds() {
    #expect(Repository.paths.contains("Package.swift"))
    #expect(Repository.paths.contains("Tests/RepositoryTests/RepositoryTests.swift"))
    #expect(!Repository.paths.contains { $0.hasPrefix(".build/") || $0.hasPrefix(".cache/") })
  }

  @Test(
    "the documents are there",
    arguments: [
      "README.md", "LICENSE", "NOTICE", "CONTRIBUTING.md", "CHANGELOG.md", "Deploy/README.md",
      "Tests/Fixtures/wordnet10/README.md", "Tests/Fixtures/wordnet10/LICENSE",
      "Tests/Fixtures/vectors/README.md",
    ])
  func documents(path: String) throws {
    #expect(try !Repository.text(path).isEmpty)
  }

  // Recorders in Python carry word lists that a line break would only make harder to read.
  @Test(
    "code is at most 100 columns wide",
    arguments: Repository.paths.filter { isCode($0) && !$0.hasSuffix(".py") })
  func width(path: String) {
    for (number, line) in Repository.lines(path).enumerated() where line.count > 100 {
      Issue.record("\(path):\(number + 1) has \(line.count) columns")
    }
  }

  @Test("no file is larger than 1.5 MB: models and data are fetched")
  func size() throws {
    for path in Repository.paths {
      let values = try Repository.root.appending(path: path).resourceValues(forKeys: [.fileSizeKey])
      #expect(values.fileSize ?? 0 <= 1_500_000, "\(path)")
    }
  }

  @Test("a script runs, and stops at its first failure", arguments: scripts)
  func script(path: String) throws {
    #expect(
      FileManager.default.isExecutableFile(atPath: Repository.root.appending(path: path).path))
    let lines = Repository.lines(path)
    #expect(lines.first == "#!/usr/bin/env bash")
    #expect(lines.contains("set -euo pipefail"))
  }

  @Test("no file names a folder of one machine")
  func machinePaths() throws {
    // Split, so that this file does not find itself.
    let home = try Regex("/" + "(home|root|Users)/[A-Za-z0-9_.-]+")
    for path in Repository.paths {
      for (number, line) in Repository.lines(path).enumerated() {
        #expect(line.firstMatch(of: home) == nil, "\(path):\(number + 1)")
      }
    }
  }

  @Test("no work is left for later in a comment", arguments: Repository.paths.filter(isCode))
  func unfinished(path: String) {
    let marks = ["TO" + "DO", "FIX" + "ME"]
    for (number, line) in Repository.lines(path).enumerated() {
      #expect(!marks.contains { line.contains($0) }, "\(path):\(number + 1)")
    }
  }

  @Test("a target is tested, or at least explained", arguments: ImportTests.targets)
  func cared(target: String) {
    let tests = Repository.paths(under: "Tests", suffix: ".swift")
    let isTested = tests.contains { path in
      Repository.lines(path).contains { $0.hasSuffix("import \(target)") }
    }
    let sources = Repository.paths(under: "Sources/\(target)", suffix: ".swift")
    // `main.swift` declares nothing that could be documented.
    let isExplained = sources.filter { !$0.hasSuffix("/main.swift") }.allSatisfy { path in
      Repository.lines(path).contains { $0.drop { $0 == " " }.hasPrefix("///") }
    }
    #expect(isTested || isExplained, "no test imports \(target), and a file of it says nothing")
  }
}
