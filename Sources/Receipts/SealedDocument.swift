import Foundation
import Hashing

/// Why bytes are not a sealed document of the format asked for.
package enum DocumentProblem: Error, Equatable, Sendable {
  /// Longer than `limit`; nothing of it was read.
  case tooLarge(byteCount: Int, limit: Int)
  /// Not JSON with the fields of the format.
  case notReadable
  /// JSON that names another format or version.
  case otherFormat
  /// Written again it would be other bytes: spaces, an unknown field, a number in another spelling.
  case notCanonical
  /// The bytes do not have the SHA-256 that stands in them.
  case damaged
}

/// A JSON file with one spelling that carries its own SHA-256.
///
/// The digest finds damage; it is no signature. What the document claims is bound by its Merkle
/// proofs and, in the end, by a checkpoint the reader has from elsewhere.
///
/// - SeeAlso: `Protocols/receipt.md`, which draws the bytes.
package protocol SealedDocument: Codable {
  static var formatName: String { get }
  var format: String { get }
  var sha256: Digest? { get set }
}

extension SealedDocument {
  package static var byteLimit: Int { 64 << 20 }

  /// The file's bytes.
  package var bytes: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("integers and strings always encode")
    }
    return Array(data) + [UInt8(ascii: "\n")]
  }

  /// The same document with the digest its other fields ask for.
  package func sealed() -> Self {
    var document = self
    document.sha256 = nil
    document.sha256 = SHA256.hash(document.bytes)
    return document
  }

  /// Reads a document that `bytes` wrote and `sealed` sealed.
  static func open(_ bytes: [UInt8]) throws(DocumentProblem) -> Self {
    guard bytes.count <= byteLimit else {
      throw .tooLarge(byteCount: bytes.count, limit: byteLimit)
    }
    let data = Data(bytes)
    let decoder = JSONDecoder()
    guard let head = try? decoder.decode(DocumentHead.self, from: data) else { throw .notReadable }
    guard head.format.isIdentical(to: formatName) else { throw .otherFormat }
    guard let document = try? decoder.decode(Self.self, from: data) else { throw .notReadable }
    guard document.bytes == bytes else { throw .notCanonical }
    guard document.sha256 == document.sealed().sha256 else { throw .damaged }
    return document
  }
}

private struct DocumentHead: Codable {
  let format: String
}

extension String {
  /// Whether both are the same bytes. `==` also holds between, say, K and the Kelvin sign.
  func isIdentical(to other: String) -> Bool {
    utf8.elementsEqual(other.utf8)
  }
}

/// A digest is 64 lower-case hexadecimal digits in a document.
extension Digest: Codable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let digest = Digest(hex: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not a SHA-256 in hexadecimal")
    }
    self = digest
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }
}
