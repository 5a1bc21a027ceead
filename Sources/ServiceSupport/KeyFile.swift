import Hashing
import SystemIO
import WireFormat

/// Files that hold one key each, readable by their owner alone, or handed over by root.
package enum KeyFile {
  /// Reads a key; refuses a file that others may read, as its secret is then anyone's.
  ///
  /// - Throws: `ServiceError` that names the file and says what to do about it.
  package static func read(_ path: String) throws -> PeerKey {
    let bytes: [UInt8]
    do {
      guard try FileSystem.isPrivate(path) else {
        throw ServiceError(
          .configuration, "\(path) holds a secret, and others than its owner may read it",
          try:
            "chmod 600 \(path); if somebody else may have read it, lethe key revoke and a new key"
        )
      }
      bytes = try FileSystem.read(path)
    } catch let error as SystemCallError {
      throw ServiceError(error, while: "reading a key")
    }
    guard let key = PeerKey(line: String(decoding: bytes, as: UTF8.self)) else {
      throw ServiceError(
        .configuration, "\(path) does not hold a key",
        try: "make one with lethe key new --output FILE")
    }
    return key
  }

  /// Writes a key, durably and with mode 0600.
  package static func write(_ key: PeerKey, to path: String) throws(SystemCallError) {
    try FileSystem.replace(path, with: Array(key.line.utf8))
  }

  /// A key that nobody has had before; `nil` if the name is none.
  package static func make(name: String, role: KeyRole) -> PeerKey? {
    let id = KeyID(SystemRandom.bytes(count: KeyID.byteCount))!
    return PeerKey(
      id: id, role: role, name: name, secret: SystemRandom.bytes(count: PeerKey.secretByteCount))
  }
}
