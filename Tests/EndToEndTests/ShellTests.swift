import Foundation
import Testing

@Suite("Shells and manual") struct ShellTests {
  static func bash(_ script: String) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  static let lines: [(words: String, offers: String)] = [
    ("lethe eva", "evaluate"), ("lethe delete --wa", "--wait"),
    ("lethe delete --wait p", "purged"), ("lethe lineage sh", "shard"),
    ("lethe simulate deletions --se", "--sequences --seed"),
    ("lethe lineage ''", "record shard block export --help"),
    ("lethe delete --deadline ''", ""),
  ]

  @Test("bash completes verbs, options and values", arguments: lines)
  func completion(words: String, offers: String) throws {
    let script = try Lethe.run(["completions", "bash"]).text
    let done = try Self.bash(
      script + "\nCOMP_WORDS=(\(words)); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _lethe\n"
        + "echo \"${COMPREPLY[*]}\"")
    #expect(done.status == 0)
    #expect(done.text == "\(offers)\n")
  }

  @Test("zsh and fish get scripts of their own")
  func otherShells() throws {
    let fish = try Lethe.run(["completions", "fish"]).text
    let zsh = try Lethe.run(["completions", "zsh"]).text
    #expect(zsh.hasPrefix("#compdef lethe\n"))
    #expect(
      fish.contains(
        "complete -c lethe -n '__fish_seen_subcommand_from delete' -l wait -x "
          + "-a 'masked purged repaired certified'"))
    let refused = try Lethe.run(["completions", "csh"])
    #expect(refused.status == 64)
  }

  static func pages() throws -> URL {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    let wrote = try Lethe.run(["manual", "--output", folder.path])
    try #require(wrote.status == 0, "\(wrote.errors)")
    return folder
  }

  @Test("every verb has a page for man")
  func manual() throws {
    let folder = try Self.pages()
    defer { try? FileManager.default.removeItem(at: folder) }
    let page = try String(
      contentsOf: folder.appendingPathComponent("lethe-delete.1"), encoding: .utf8)
    #expect(page.hasPrefix(".TH \"LETHE\\-DELETE\" 1"))
    #expect(page.contains(".B \\-\\-wait masked|purged|repaired|certified\n"))
    #expect(page.utf8.allSatisfy { $0 < 0x80 })
  }

  @Test(
    "groff has nothing to say about the pages",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/groff"), "SKIPPED: no groff"))
  func groff() throws {
    let folder = try Self.pages()
    defer { try? FileManager.default.removeItem(at: folder) }
    let checked = try Self.bash("groff -man -ww -Tutf8 '\(folder.path)'/*.1 2>&1 >/dev/null")
    #expect(checked.text.isEmpty)
  }
}
