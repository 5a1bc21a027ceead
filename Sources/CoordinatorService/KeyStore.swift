import Hashing
import ServiceSupport
import SystemIO
import WireFormat

/// The keys that a run knows: a folder with a file each, named by the key's id.
///
/// Nothing is kept in memory. A key counts from the moment its file is there until it is gone, so
/// that `lethe key` needs no running coordinator, and disturbs none.
package struct KeyStore: Sendable {
  private let folder: String
  /// The line of the key that was made with the run, for workers on the same machine.
  package let localPath: String

  package static let folderName = "keys"
  package static let localName = "local.key"

  /// - Parameter directory: The run's directory; made if it is not there.
  package init(_ directory: String) throws(SystemCallError) {
    folder = "\(directory)/\(Self.folderName)"
    localPath = "\(directory)/\(Self.localName)"
    try FileSystem.createDirectory(folder)
  }

  /// The key of an id; `nil` if there is none or its file cannot be trusted.
  ///
  /// Only the digits of an id become a path, so nothing a peer says can point elsewhere.
  package func find(_ id: KeyID) -> PeerKey? {
    guard FileSystem.exists(path(id)), let key = try? KeyFile.read(path(id)), key.id == id else {
      return nil
    }
    return key
  }

  /// The key whose id and secret a bearer token `<id>.<secret>` names.
  package func find(bearer token: some StringProtocol) -> PeerKey? {
    let parts = token.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let id = KeyID(hex: parts[0]), let shown = Array(hex: parts[1]),
      let key = find(id), HMAC.areEqual(shown, key.secret)
    else { return nil }
    return key
  }

  /// Ids of all keys that have not been revoked.
  package func ids() throws(SystemCallError) -> Set<KeyID> {
    Set(try FileSystem.list(folder).compactMap { KeyID(hex: $0) })
  }

  /// Every key, by name.
  ///
  /// - Throws: `ServiceError` for a file that is not a key or that others may read.
  package func all() throws -> [PeerKey] {
    try ids().map { id in
      let key = try KeyFile.read(path(id))
      guard key.id == id else {
        throw ServiceError(
          .badData, "\(path(id)) holds the key \(key.id)", try: "remove the file, make a new key")
      }
      return key
    }.sorted { ($0.name, $0.id) < ($1.name, $1.id) }
  }

  /// Makes a key that the coordinator knows at once.
  ///
  /// - Parameter handOver: Gives the key to its holder, before it counts: when this throws, the run
  ///   knows no key that nobody has.
  package func add(name: String, role: KeyRole, handOver: (PeerKey) throws -> Void = { _ in })
    throws -> PeerKey
  {
    guard let key = KeyFile.make(name: name, role: role) else {
      throw ServiceError(
        .usage, "\"\(name)\" is no name of a key",
        try: "use 1 to \(PeerKey.nameByteCountLimit) letters, digits, dots, dashes, underscores")
    }
    guard try !all().contains(where: { $0.name == name }) else {
      throw ServiceError(
        .usage, "there is a key named \(name) already", try: "revoke it, or choose another name")
    }
    try handOver(key)
    try KeyFile.write(key, to: path(key.id))
    return key
  }

  /// Forgets a key by its id or name, durably; `nil` if there is none.
  ///
  /// Does not read other files than it must: an unreadable one can be revoked by its id.
  package func revoke(_ text: String) throws -> KeyID? {
    let id: KeyID
    if let known = KeyID(hex: text), try ids().contains(known) {
      id = known
    } else {
      guard let named = try all().first(where: { $0.name == text }) else { return nil }
      id = named.id
    }
    try FileSystem.remove(path(id))
    try FileSystem.synchronizeDirectory(folder)
    return id
  }

  /// Makes the key of workers on this machine, once in a run's life: a revoked one stays revoked.
  package func makeLocalKey() throws {
    guard !FileSystem.exists(localPath) else { return }
    let key = try all().first { $0.name == "local" } ?? add(name: "local", role: .worker)
    try KeyFile.write(key, to: localPath)
  }

  private func path(_ id: KeyID) -> String { "\(folder)/\(id.hex)" }
}
