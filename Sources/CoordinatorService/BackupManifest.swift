import Foundation
import Hashing
import ServiceSupport
import SystemIO

/// What a backup folder holds and what it is a backup of; `manifest.json`.
///
/// ```
/// manifest.json     this, written last: a folder without it is no backup; under a key not in it
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
  /// HMAC-SHA-256 of the rest under the run's `backup.key`; absent in format 2.
  package var mac: String?
  package var run: String
  package var journalSequence: UInt64
  package var ledgerSize: UInt64
  package var ledgerRoot: String
  package var files: [File]

  static let currentFormat = "lethe-backup-3"
  /// Without a MAC; written by earlier builds.
  static let unauthenticatedFormat = "lethe-backup-2"
  static let name = "manifest.json"

  /// Whether somebody with this key wrote the manifest; every file's digest stands in it.
  func isAuthentic(_ key: [UInt8]) -> Bool {
    guard let mac = mac.flatMap({ Array(hex: $0) }), let own = try? authentication(key) else {
      return false
    }
    return HMAC.areEqual(mac, own.bytes)
  }

  private func authentication(_ key: [UInt8]) throws -> Digest {
    var bare = self
    bare.mac = nil
    let message = Array("lethe-backup-manifest-1".utf8) + [0] + (try bare.encoded())
    return HMAC.authenticate(key: key, message)
  }

  func authenticated(_ key: [UInt8]) throws -> BackupManifest {
    var copy = self
    copy.mac = try authentication(key).hex
    return copy
  }

  fileprivate func encoded() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return Array(try encoder.encode(self))
  }

  /// The bytes of a file that the manifest names, as it names them.
  ///
  /// - Throws: `ServiceError` for a file that the manifest does not name: nobody vouches for it.
  func read(_ path: String, in folder: String) throws -> [UInt8] {
    guard let file = files.first(where: { $0.path == path }) else {
      throw ServiceError(
        .badData, "the manifest of \(folder) does not name \(path)", try: "use another backup")
    }
    let bytes = try FileSystem.read("\(folder)/\(path)")
    guard SHA256.hash(bytes).hex == file.sha256 else {
      throw ServiceError(
        .badData, "\(folder)/\(path) is not what was backed up", try: "use another backup")
    }
    return bytes
  }

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
    guard [currentFormat, unauthenticatedFormat].contains(manifest.format) else {
      throw ServiceError(.badData, "\(folder) has the format \(manifest.format)", try: "upgrade")
    }
    for file in manifest.files {
      // Names come from a file: none may lead out of the folder.
      guard !file.path.split(separator: "/").contains(".."), !file.path.hasPrefix("/") else {
        throw ServiceError(.badData, "the manifest names \(file.path)", try: "use another backup")
      }
      _ = try manifest.read(file.path, in: folder)
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
    try folder.replace(BackupManifest.name, with: try manifest.encoded())
  }
}
