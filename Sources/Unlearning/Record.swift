import ByteCoding
import Hashing

/// The name by which a record is deleted: 1 to 256 bytes of UTF-8 without control characters.
///
/// Compared as bytes. Swift compares strings by canonical equivalence, so as `String` the ids "é" and
/// "e\u{301}" would be one, and a deletion could hit the wrong record.
package struct RecordID: Hashable, Comparable, Sendable {
  package let bytes: [UInt8]

  package static let maximumByteCount = 256

  /// `nil` if the bytes are no id.
  package init?(_ bytes: some Collection<UInt8>) {
    guard (1...Self.maximumByteCount).contains(bytes.count),
      let text = String(validating: bytes, as: UTF8.self),
      text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    else { return nil }
    self.bytes = Array(bytes)
  }

  package init?(_ text: String) {
    self.init(Array(text.utf8))
  }

  /// The id as text; its UTF-8 bytes are exactly `bytes`.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  package static func < (left: Self, right: Self) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

/// One training example.
package struct Record: Equatable, Sendable {
  package var id: RecordID
  /// The person the record is about.
  package var subject: String?
  package var text: String
  /// Second text of a pair.
  package var textPair: String?
  package var label: String
  /// Chance that the record will be deleted, for planners that gather likely leavers.
  package var deletionProbability: Double?

  package init(
    id: RecordID, subject: String? = nil, text: String, textPair: String? = nil, label: String,
    deletionProbability: Double? = nil
  ) {
    self.id = id
    self.subject = subject
    self.text = text
    self.textPair = textPair
    self.label = label
    self.deletionProbability = deletionProbability
  }

  /// Every field in canonical encoding.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    writer.write("lethe-record-1")
    writer.write(id.bytes)
    writer.write(subject) { $0.write($1) }
    writer.write(text)
    writer.write(textPair) { $0.write($1) }
    writer.write(label)
    writer.write(deletionProbability) { $0.write($1) }
    return writer.bytes
  }

  /// Reads back what `encoded` wrote.
  package init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    guard try reader.readString() == "lethe-record-1" else {
      throw .invalid(what: "record format", atByte: 0)
    }
    guard let id = RecordID(try reader.readBytes()) else {
      throw .invalid(what: "record id", atByte: 0)
    }
    self.id = id
    subject = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readString()
    }
    text = try reader.readString()
    textPair = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readString()
    }
    label = try reader.readString()
    deletionProbability = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readDouble()
    }
    try reader.finish()
  }

  /// The record's part in its slice's digest: SHA-256 of `encoded`.
  package var digest: Digest { SHA256.hash(encoded) }

  /// Digest of text, pair and label alone: equal for exact duplicates under different ids.
  package var payloadDigest: Digest {
    var writer = CanonicalWriter()
    writer.write("lethe-payload-1")
    writer.write(text)
    writer.write(textPair) { $0.write($1) }
    writer.write(label)
    return SHA256.hash(writer.bytes)
  }
}
