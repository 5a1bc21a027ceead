import ByteCoding
import Hashing

/// One training example.
///
/// Equal only if every byte is equal; see `RecordID` on why not as `String`s are.
package struct Record: Sendable {
  package let id: RecordID
  /// The person the record is about, so that all of a person's records can be named at once.
  package let subject: RecordID?
  package let text: String
  /// Never empty: an empty second text is none, to the tokenizer too.
  package let textPair: String?
  package let label: String
  /// How likely a deletion is, in [0, 1], as whoever made the data set declares it.
  package let deletionProbability: Double?

  package init(
    id: RecordID, subject: RecordID? = nil, text: String, textPair: String? = nil, label: String,
    deletionProbability: Double? = nil
  ) {
    self.id = id
    self.subject = subject
    self.text = text
    self.textPair = textPair?.isEmpty == true ? nil : textPair
    self.label = label
    self.deletionProbability = deletionProbability
  }

  /// Every field in canonical encoding; how a record travels to a worker.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter(capacity: 128 + text.utf8.count)
    writer.write("lethe record 1")
    writer.write(id.bytes)
    writer.write(subject) { $0.write($1.bytes) }
    writePayload(to: &writer)
    writer.write(deletionProbability) { $0.write($1) }
    return writer.bytes
  }

  /// Reads back what `encoded` wrote.
  package init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    func id(_ bytes: [UInt8]) throws(DecodingFailure) -> RecordID {
      do {
        return try RecordID(bytes)
      } catch {
        throw DecodingFailure.invalid(what: "record id", atByte: 0)
      }
    }
    var reader = CanonicalReader(bytes)
    guard try reader.readString() == "lethe record 1" else {
      throw .invalid(what: "record format", atByte: 0)
    }
    self.init(
      id: try id(try reader.readBytes()),
      subject: try reader.readOptional { (reader) throws(DecodingFailure) in
        try id(try reader.readBytes())
      },
      text: try reader.readString(),
      textPair: try reader.readOptional { (reader) throws(DecodingFailure) in
        let pair = try reader.readString()
        guard !pair.isEmpty else { throw .invalid(what: "empty second text", atByte: 0) }
        return pair
      },
      label: try reader.readString(),
      deletionProbability: try reader.readOptional { (reader) throws(DecodingFailure) in
        try reader.readDouble()
      })
    try reader.finish()
  }

  /// Covers every field: two records with one digest train the same block.
  package var digest: Digest { SHA256.hash(encoded) }

  /// Covers what a model learns from (text, pair and label), so it finds duplicates under other
  /// ids.
  package var payloadDigest: Digest {
    var writer = CanonicalWriter(capacity: 64 + text.utf8.count)
    writer.write("lethe payload 1")
    writePayload(to: &writer)
    return SHA256.hash(writer.bytes)
  }

  private func writePayload(to writer: inout CanonicalWriter) {
    writer.write(text)
    writer.write(textPair) { $0.write($1) }
    writer.write(label)
  }
}

extension Record: Equatable {
  package static func == (left: Self, right: Self) -> Bool {
    func same(_ left: String?, _ right: String?) -> Bool {
      switch (left, right) {
      case (nil, nil): true
      case (let left?, let right?): left.utf8.elementsEqual(right.utf8)
      case (nil, _?), (_?, nil): false
      }
    }
    return left.id == right.id && left.subject == right.subject && same(left.text, right.text)
      && same(left.textPair, right.textPair) && same(left.label, right.label)
      && left.deletionProbability?.bitPattern == right.deletionProbability?.bitPattern
  }
}
