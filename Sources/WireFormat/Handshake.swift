import ByteCoding
import Hashing

/// The three frames in which both ends prove that they hold the same secret.
///
/// Mirrors TLS 1.3's `psk_ke` without its key exchange: every tag covers all bytes said before it,
/// so that neither a version nor a nonce can be changed on the way, and each end has its own label,
/// so that a tag sent back proves nothing.
package enum Handshake {
  /// What this build speaks, and all of it.
  package static let version: UInt16 = 2
  package static let nonceByteCount = 32
  package static let magic = Array("lethewir".utf8)

  /// The worker's first words.
  struct Opening: Equatable {
    var lowestVersion: UInt16
    var highestVersion: UInt16
    var keyID: KeyID
    var nonce: [UInt8]

    var frame: [UInt8] {
      var writer = CanonicalWriter()
      writer.writeRaw(Handshake.magic)
      writer.write(lowestVersion)
      writer.write(highestVersion)
      writer.writeRaw(keyID.bytes)
      writer.writeRaw(nonce)
      return FrameBytes.unsealed(.opening, body: writer.bytes)
    }

    init(lowestVersion: UInt16, highestVersion: UInt16, keyID: KeyID, nonce: [UInt8]) {
      self.lowestVersion = lowestVersion
      self.highestVersion = highestVersion
      self.keyID = keyID
      self.nonce = nonce
    }

    init(body: ArraySlice<UInt8>) throws(DecodingFailure) {
      var reader = CanonicalReader(body)
      guard Array(try reader.readRaw(byteCount: Handshake.magic.count)) == Handshake.magic else {
        throw .invalid(what: "magic", atByte: 0)
      }
      lowestVersion = try reader.readInteger()
      highestVersion = try reader.readInteger()
      guard lowestVersion <= highestVersion else {
        throw .invalid(what: "version range", atByte: 8)
      }
      guard let id = KeyID(try reader.readRaw(byteCount: KeyID.byteCount)) else {
        throw .invalid(what: "key id", atByte: 12)
      }
      keyID = id
      nonce = Array(try reader.readRaw(byteCount: Handshake.nonceByteCount))
      try reader.finish()
    }
  }

  /// The coordinator's answer.
  struct Challenge {
    var version: UInt16
    var tag: Digest

    init(body: ArraySlice<UInt8>) throws(DecodingFailure) {
      var reader = CanonicalReader(body)
      version = try reader.readInteger()
      _ = try reader.readRaw(byteCount: Handshake.nonceByteCount)
      tag = try reader.readTag()
      try reader.finish()
    }
  }

  /// The challenge's frame, whose tag covers the opening and all of itself before the tag.
  static func challenge(
    version: UInt16, nonce: [UInt8], key: AuthenticationKey, after transcript: [UInt8]
  ) -> [UInt8] {
    var writer = CanonicalWriter()
    writer.write(version)
    writer.writeRaw(nonce)
    return key.tagged(.challenge, body: writer.bytes, label: .coordinator, after: transcript)
  }

  /// The proof's frame, whose tag covers both earlier frames and all of itself before the tag.
  static func proof(key: AuthenticationKey, after transcript: [UInt8]) -> [UInt8] {
    key.tagged(.proof, body: [], label: .worker, after: transcript)
  }

  /// The keys of both directions, from the secret and all three frames.
  package static func sessionKeys(secret: [UInt8], transcript: [UInt8])
    -> (workerToCoordinator: [UInt8], coordinatorToWorker: [UInt8])
  {
    let salt = SHA256.hash(transcript).bytes
    return (
      derive(secret, salt: salt, info: "lethe-wire-1 worker to coordinator"),
      derive(secret, salt: salt, info: "lethe-wire-1 coordinator to worker")
    )
  }

  fileprivate static func derive(_ secret: [UInt8], salt: [UInt8], info: String) -> [UInt8] {
    do {
      return try HKDF.derive(
        secret: secret, salt: salt, info: info.utf8, byteCount: Digest.byteCount)
    } catch {
      preconditionFailure("HKDF-SHA-256 gives 32 bytes: \(error)")
    }
  }
}

/// What the tags of a handshake are made with.
struct AuthenticationKey: Sendable {
  enum Label: String {
    case coordinator
    case worker
  }

  private let key: [UInt8]

  init(secret: [UInt8]) {
    key = Handshake.derive(secret, salt: [], info: "lethe-wire-1 authentication")
  }

  /// The tag over everything said so far.
  func tag(_ label: Label, over transcript: some Sequence<UInt8>) -> Digest {
    var authenticator = HMAC.Authenticator(key: key)
    authenticator.update(label.rawValue.utf8)
    authenticator.update(SHA256.hash(transcript).bytes)
    return authenticator.finalize()
  }

  /// An unsealed frame that ends with such a tag.
  fileprivate func tagged(
    _ type: FrameType, body: [UInt8], label: Label, after transcript: [UInt8]
  ) -> [UInt8] {
    var frame = FrameBytes.unsealed(
      type, body: body + [UInt8](repeating: 0, count: Digest.byteCount))
    frame.removeLast(Digest.byteCount)
    return frame + tag(label, over: transcript + frame).bytes
  }

  /// Whether a frame that ends with a tag ends with the right one.
  func isRight(_ frame: ArraySlice<UInt8>, label: Label, after transcript: [UInt8]) -> Bool {
    let expected = tag(label, over: transcript + frame.dropLast(Digest.byteCount))
    return HMAC.areEqual(expected.bytes, Array(frame.suffix(Digest.byteCount)))
  }
}

extension CanonicalReader {
  fileprivate mutating func readTag() throws(DecodingFailure) -> Digest {
    guard let tag = Digest(try readRaw(byteCount: Digest.byteCount)) else {
      throw .invalid(what: "tag", atByte: 0)
    }
    return tag
  }
}
