import ByteCoding
import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// The deletions of a run in a form that another run over the same data can take in.
///
/// ```
/// lethe-tombstones-1
/// key <64 digits>        the run's tombstone.key: with it an id becomes a tag
/// tag <64 digits>        a deleted record, ascending; any number of these
/// sha256 <64 digits>     of all lines before this one
/// ```
///
/// Whoever has the file can test guesses at deleted ids: it is as secret as `tombstone.key`.
package struct TombstoneFile: Equatable, Sendable {
  package let key: [UInt8]
  package let tags: [RecordTag]

  static let name = "tombstones"
  private static let format = "lethe-tombstones-1"

  init(key: [UInt8], tags: some Sequence<RecordTag>) {
    self.key = key
    self.tags = Set(tags).sorted()
  }

  package var bytes: [UInt8] {
    var text = "\(Self.format)\nkey \(key.hex)\n"
    for tag in tags { text += "tag \(tag.digest.hex)\n" }
    return Array((text + "sha256 \(SHA256.hash(Array(text.utf8)).hex)\n").utf8)
  }

  /// - Throws: `ServiceError`, also for a file that was cut.
  package init(_ bytes: [UInt8], path: String) throws {
    func refused(_ what: String) -> ServiceError {
      ServiceError(
        .badData, "\(path) is not a whole file of tombstones: \(what)",
        try: "write it anew with lethe tombstones export")
    }
    var words: [(name: Substring, value: Substring)] = []
    for line in TextLines(bytes) {
      let text = String(decoding: line.bytes, as: UTF8.self)
      let parts = text.split(separator: " ", omittingEmptySubsequences: false)
      words.append((parts[0], parts.count == 2 ? parts[1] : ""))
    }
    guard let first = words.first, first.name == Self.format, words.count >= 3 else {
      throw refused("it does not begin with \(Self.format)")
    }
    guard words[1].name == "key", let key = Array(hex: words[1].value), key.count == 32 else {
      throw refused("line 2 is not a key")
    }
    var tags: [RecordTag] = []
    for (index, word) in words.enumerated().dropFirst(2).dropLast() {
      guard word.name == "tag", let digest = Digest(hex: word.value) else {
        throw refused("line \(index + 1) is no tag")
      }
      tags.append(RecordTag(digest))
    }
    self.init(key: key, tags: tags)
    guard let last = words.last, last.name == "sha256", self.bytes.count >= 72,
      String(decoding: self.bytes.suffix(65).dropLast(), as: UTF8.self) == last.value
    else { throw refused("it was cut or changed") }
  }

  /// The deletions that a run knows, those of runs before it among them; changes nothing.
  ///
  /// - Parameter base: The folder that relative paths in the run file start from.
  package static func export(_ file: RunFile, base: String) throws -> TombstoneFile {
    let folder = resolve(file.coordinator.directory, base: base)
    let keyPath = "\(folder)/tombstone.key"
    guard FileSystem.exists(keyPath) else {
      throw ServiceError(
        .missingInput, "there is no run in \(folder)", try: "name the run file of the earlier run")
    }
    let folders = try file.journalFolders(directory: folder)
    let view: Journal.View
    do {
      view = try Journal.read(folders)
    } catch {
      throw ServiceError(journal: error)
    }
    let state = try RunState(replaying: view.snapshot?.bytes, view.payloads)
    return TombstoneFile(
      key: try RunDirectory.secret(keyPath),
      tags: Set(state.deletedTags.keys).union(state.importedTombstones))
  }

  /// Lays the tombstones down for a run's first start, which leaves those records out.
  package func lay(for file: RunFile, base: String) throws {
    let folder = resolve(file.coordinator.directory, base: base)
    let slices = "\(folder)/slices"
    guard try !FileSystem.exists(slices) || FileSystem.list(slices).isEmpty else {
      throw ServiceError(
        .configuration, "the run in \(folder) has begun: its records are taken in",
        try: "delete from it what must go; or make a run anew, import, and then start it")
    }
    try FileSystem.createDirectory(folder)
    let keyPath = "\(folder)/tombstone.key"
    if FileSystem.exists(keyPath) {
      guard try RunDirectory.secret(keyPath) == key else {
        throw ServiceError(
          .configuration, "\(folder) has tombstones of another run's key already",
          try: "give the new run a directory of its own")
      }
    } else {
      try FileSystem.replace(keyPath, with: Array("\(key.hex)\n".utf8))
    }
    let path = "\(folder)/\(Self.name)"
    let earlier =
      FileSystem.exists(path) ? try TombstoneFile(FileSystem.read(path), path: path).tags : []
    try FileSystem.replace(path, with: TombstoneFile(key: key, tags: tags + earlier).bytes)
  }
}

extension RunDirectory {
  /// What was laid down for the first start.
  func importedTombstones() throws -> [RecordTag] {
    let path = "\(self.path)/\(TombstoneFile.name)"
    guard FileSystem.exists(path) else { return [] }
    let file = try TombstoneFile(FileSystem.read(path), path: path)
    guard try file.key == Self.secret("\(self.path)/tombstone.key") else {
      throw ServiceError(
        .configuration, "\(path) belongs to another tombstone.key", try: "import it anew")
    }
    return file.tags
  }

  /// Takes records out that an earlier run had deleted; how many there were.
  func leaveOut(_ tombstones: [RecordTag], of members: inout [SliceLocation: [Record]]) -> Int {
    guard !tombstones.isEmpty else { return 0 }
    let gone = Set(tombstones)
    var count = 0
    for (location, records) in members {
      let live = records.filter { !gone.contains(tag($0.id)) }
      count += records.count - live.count
      members[location] = live
    }
    return count
  }

  /// Removes what was laid down, once the journal says the same.
  func finishImport(_ state: RunState) throws {
    let tags = try importedTombstones()
    guard Set(tags).isSubset(of: state.importedTombstones) else {
      throw ServiceError(
        .configuration, "\(path)/\(TombstoneFile.name) came after this run had begun",
        try: "remove it, and delete from the run what must go")
    }
    try FileSystem.remove("\(path)/\(TombstoneFile.name)")
  }
}

extension OpenedRun {
  /// Entries of a size that any journal takes.
  static func entries(of tombstones: [RecordTag]) -> [JournalEntry] {
    stride(from: 0, to: tombstones.count, by: 10_000).map {
      .noted(.tombstones(Array(tombstones[$0..<min($0 + 10_000, tombstones.count)])))
    }
  }
}
