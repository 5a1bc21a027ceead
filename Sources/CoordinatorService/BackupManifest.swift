import Foundation
import Hashing
import ServiceSupport
import SystemIO

/// What a backup folder holds and what it is a backup of; `manifest.json`.
///
/// ```
/// manifest.json     this, written last: a folder without it is no backup
/// state             the run's state, as in a journal snapshot
/// slices/           the records that were live, a file a slice
/// artifacts/        trained blocks
/// tombstone.key     without it no deletion could be replayed
/// salts             opens receipts
/// keys/ local.key   who may connect; only restored where the run has no keys of its own
/// ```
package struct BackupManifest: Codable, Sendable {
  package struct File: Codable, Sendable {
    package var path: String
    package var sha256: String
    package var bytes: Int
  }

  package var format = Self.currentFormat
  package var run: String
  package var journalSequence: UInt64
  package var ledgerSize: UInt64
  package var ledgerRoot: String
  package var files: [File]

  static let currentFormat = "lethe-backup-2"
  static let name = "manifest.json"

  /// Reads a manifest and checks every file it names.
  package static func read(_ folder: String) throws -> BackupManifest {
    let manifest: BackupManifest
    do {
      manifest = try JSONDecoder().decode(
        BackupManifest.self, from: Data(try FileSystem.read("\(folder)/\(name)")))
    } catch {
      throw ServiceError(
        .missingInput, "\(folder) is no whole backup: \(error)",
        try: "give a folder that lethe backup wrote")
    }
    guard manifest.format == currentFormat else {
      throw ServiceError(.badData, "\(folder) has the format \(manifest.format)", try: "upgrade")
    }
    for file in manifest.files {
      // Names come from a file: none may lead out of the folder.
      guard !file.path.split(separator: "/").contains(".."), !file.path.hasPrefix("/") else {
        throw ServiceError(.badData, "the manifest names \(file.path)", try: "use another backup")
      }
      let bytes = try FileSystem.read("\(folder)/\(file.path)")
      guard SHA256.hash(bytes).hex == file.sha256 else {
        throw ServiceError(
          .badData, "\(folder)/\(file.path) is not what was backed up", try: "use another backup")
      }
    }
    return manifest
  }
}

/// Writes a backup's files and keeps account of them.
struct BackupWriter {
  private let folder: Folder
  private(set) var files: [BackupManifest.File] = []

  /// - Parameter folder: One that was just made.
  init(_ folder: Folder) {
    self.folder = folder
  }

  mutating func write(_ bytes: [UInt8], to path: String) throws {
    let names = path.split(separator: "/").map(String.init)
    var folder = folder
    for name in names.dropLast() { folder = try folder.folderMaking(name) }
    try folder.replace(names.last!, with: bytes)
    files.append(
      BackupManifest.File(path: path, sha256: SHA256.hash(bytes).hex, bytes: bytes.count))
  }

  func finish(_ manifest: BackupManifest) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    try folder.replace(BackupManifest.name, with: Array(try encoder.encode(manifest)))
  }
}
