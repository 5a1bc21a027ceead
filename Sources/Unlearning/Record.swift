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

  /// Covers every field: two records with one digest train the same block.
  package var digest: Digest {
    var writer = CanonicalWriter()
    writer.write("lethe record 1")
    writer.write(id.bytes)
    writer.write(subject) { $0.write($1.bytes) }
    writePayload(to: &writer)
    writer.write(deletionProbability) { $0.write($1) }
    return SHA256.hash(writer.bytes)
  }

  /// Covers what a model learns from (text, pair and label), so it finds duplicates under other ids.
  package var payloadDigest: Digest {
    var writer = CanonicalWriter()
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
