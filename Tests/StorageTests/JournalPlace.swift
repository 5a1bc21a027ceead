import Foundation
import Hashing
import JournalFormat
import Storage
import SystemIO

/// A pair of directories for one test, removed with it.
final class JournalPlace {
  let root: String
  var directories: (String, String) { (root + "/a", root + "/b") }

  init(in parent: String = NSTemporaryDirectory()) {
    root = parent + "/lethe-journal-" + UUID().uuidString
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func path(_ copy: JournalCopy, _ name: String) -> String {
    (copy == .a ? directories.0 : directories.1) + "/" + name
  }

  func segment(_ copy: JournalCopy, _ first: UInt64 = 1) -> String {
    path(copy, JournalName.segment(first))
  }

  func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path)))
  }

  func write(_ bytes: [UInt8], _ path: String) throws {
    try FileManager.default.createDirectory(
      atPath: FileSystem.directory(of: path), withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(filePath: path))
  }

  func names(_ copy: JournalCopy) throws -> [String] {
    try FileSystem.list(copy == .a ? directories.0 : directories.1)
  }

  func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }

  /// All files by path from the root.
  func everything() throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for copy in JournalCopy.allCases {
      guard FileSystem.exists(path(copy, "")) else { continue }
      for name in try names(copy) { files["\(copy)/\(name)"] = try bytes(path(copy, name)) }
    }
    return files
  }

  /// Puts back what `everything` told.
  func restore(_ files: [String: [UInt8]]) throws {
    try? FileManager.default.removeItem(atPath: root)
    for (name, bytes) in files {
      try write(bytes, path(name.hasPrefix("A") ? .a : .b, String(name.dropFirst(2))))
    }
  }

  /// Opens, and opens once more to see that nothing is left to repair.
  func reopen() throws -> Journal.Opened {
    let opened = try Journal.open(directories)
    let again = try Journal.open(directories, mayCreate: false)
    guard again.repairs.isEmpty, again.payloads == opened.payloads,
      again.journal.chain == opened.journal.chain, again.droppedByteCount == 0
    else { throw NotSettled(repairs: again.repairs) }
    return opened
  }

  struct NotSettled: Error { let repairs: [String] }

  /// Opens and appends payloads in batches of one.
  @discardableResult
  func append(_ payloads: [[UInt8]]) throws -> Journal {
    let journal = try Journal.open(directories).journal
    for payload in payloads { try journal.append([payload], epoch: 1) }
    return journal
  }
}

/// Payloads of varied lengths that all differ.
func samplePayloads(_ count: Int, byteCount: Int = 40, seed: UInt64 = 1) -> [[UInt8]] {
  var random = SeededGenerator(seed: seed)
  return (0..<count).map { index in
    let length = byteCount / 2 + Int(random.next() % UInt64(byteCount))
    return Array("\(index):".utf8)
      + (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }
}
