import Foundation
import SystemIO
import Testing

@Suite("Paths and folders that somebody else names") struct FolderTests {
  struct Row: Sendable {
    var text: String
    var problem: AbsolutePath.Problem?
    var because: String
  }

  static let rows: [Row] = [
    Row(text: "/srv/exports/shard0", problem: nil, because: "an ordinary one"),
    Row(text: "//srv///exports/", problem: nil, because: "empty names say nothing"),
    Row(text: "srv/exports", problem: .relative, because: "nobody knows from where"),
    Row(text: "", problem: .relative, because: "nothing"),
    Row(text: "///", problem: .root, because: "nothing can be made there"),
    Row(text: "/srv/../etc", problem: .dots, because: "it is not where it seems"),
    Row(text: "/srv/./x", problem: .dots, because: "two texts for one place"),
    Row(text: "/srv/x\u{0}y", problem: .controlCharacter, because: "the kernel stops there"),
    Row(text: "/srv/x\ny", problem: .controlCharacter, because: "a log line of its own"),
    Row(text: "/srv/\u{1b}[2J", problem: .controlCharacter, because: "a terminal obeys it"),
    Row(text: "/srv/x\u{2028}y", problem: .controlCharacter, because: "a line for some readers"),
    Row(text: "/" + String(repeating: "x", count: 255), problem: nil, because: "the longest name"),
    Row(
      text: "/" + String(repeating: "é", count: 128), problem: .nameTooLong,
      because: "bytes are counted"),
    Row(
      text: String(repeating: "/xxxxxxx", count: 512), problem: nil, because: "4096 bytes in all"),
    Row(
      text: String(repeating: "/xxxxxxx", count: 512) + "/", problem: .tooLong,
      because: "one byte more"),
  ]

  @Test("a path is taken in plain names alone", arguments: rows)
  func paths(_ row: Row) {
    var problem: AbsolutePath.Problem?
    do throws(AbsolutePath.Problem) {
      let path = try AbsolutePath(row.text)
      #expect(path.names.allSatisfy { !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: "/")) })
    } catch {
      problem = error
    }
    #expect(problem == row.problem, "\(row.because)")
  }

  @Test("below is by whole names")
  func below() throws {
    let folder = try AbsolutePath("/srv/exports")
    #expect(try AbsolutePath("/srv/exports/a/b").isBelow(folder))
    #expect(try !AbsolutePath("/srv/exports-of-others/a").isBelow(folder))
    #expect(try !AbsolutePath("/srv/exports").isBelow(folder))
  }

  private func scratch() throws -> URL {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-folder-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }

  @Test("links are neither followed nor written through")
  func links() throws {
    let place = try scratch()
    defer { try? FileManager.default.removeItem(at: place) }
    let outside = place.appendingPathComponent("outside")
    try FileManager.default.createDirectory(at: outside, withIntermediateDirectories: true)
    try Data("precious".utf8).write(to: outside.appendingPathComponent("file"))
    for (name, target) in [("link", "outside"), ("dangling", "nowhere"), ("name", "outside/file")] {
      try FileManager.default.createSymbolicLink(
        atPath: place.appendingPathComponent(name).path, withDestinationPath: target)
    }
    let folder = try Folder(trusted: place.path)
    for name in ["link", "dangling"] {
      #expect(throws: SystemCallError.self) { try folder.folder(name) }
      #expect(throws: SystemCallError.self) { try folder.folderMaking(name) }
      #expect(throws: SystemCallError.self) { try folder.newFolder(name) }
    }
    #expect(throws: SystemCallError.self) { try folder.read("name", limit: 10) }
    // Replaced by a file of its own; what it led to is as it was.
    try folder.replace("name", with: [1])
    #expect(try folder.read("name", limit: 10) == [1])
    try folder.removeContents()
    #expect(try folder.names().isEmpty)
    #expect(!FileManager.default.fileExists(atPath: outside.path))
  }

  @Test("a tree is removed up to its links, and what they lead to stays")
  func contents() throws {
    let place = try scratch()
    let other = try scratch()
    defer { for url in [place, other] { try? FileManager.default.removeItem(at: url) } }
    try Data("precious".utf8).write(to: other.appendingPathComponent("file"))
    let inner = try Folder(trusted: place.path).folderMaking("a").folderMaking("b")
    try inner.replace("x", with: [1, 2, 3])
    try FileManager.default.createSymbolicLink(
      atPath: place.appendingPathComponent("a/link").path, withDestinationPath: other.path)
    #expect(try Folder(trusted: place.path).removeFolderIfEmpty("a") == false)
    try Folder(trusted: place.path).removeContents()
    #expect(try Folder(trusted: place.path).names().isEmpty)
    #expect(FileManager.default.fileExists(atPath: other.appendingPathComponent("file").path))
  }

  @Test("a pipe keeps nobody waiting")
  func pipes() throws {
    let place = try scratch()
    defer { try? FileManager.default.removeItem(at: place) }
    let path = place.appendingPathComponent("pipe").path
    try #require(mkfifo(path, 0o600) == 0)
    let folder = try Folder(trusted: place.path)
    #expect(try folder.kind("pipe") == .other)
    #expect(throws: SystemCallError.self) { try folder.read("pipe", limit: 10) }
  }

  @Test("a path is resolved as far as it is there")
  func canonical() throws {
    let place = try scratch().resolvingSymlinksInPath()
    defer { try? FileManager.default.removeItem(at: place) }
    let real = place.appendingPathComponent("real")
    try FileManager.default.createDirectory(at: real, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: place.appendingPathComponent("link").path, withDestinationPath: "real")
    #expect(FileSystem.canonical("\(place.path)/link/new/folder") == "\(real.path)/new/folder")
    #expect(FileSystem.canonical("\(place.path)/link") == real.path)
    #expect(FileSystem.canonical("/nowhere/at/all") == "/nowhere/at/all")
  }
}
