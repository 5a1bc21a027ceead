import ByteCoding
import Hashing
import Unlearning

/// The bytes that one key gave for a block.
package struct BlockOpinion: Equatable, Sendable {
  /// Not known of a block from before keys were journalled.
  package var identity: PeerIdentity?
  package var artifact: Digest

  package init(identity: PeerIdentity?, artifact: Digest) {
    self.identity = identity
    self.artifact = artifact
  }

  var name: String { identity.map { "key \($0)" } ?? "a key that was not recorded" }
}

/// A block that two keys trained to different bytes: it serves nobody until two keys agree.
///
/// Without opinions, as after the operator has asked for training, the next result decides alone.
package struct BlockDispute: Equatable, Sendable {
  /// What stood when the dispute began; what was trained on top of it may stand again with it.
  package var standing: Digest
  package var opinions: [BlockOpinion]
}

extension CanonicalWriter {
  mutating func write(_ opinion: BlockOpinion) {
    write(opinion.identity?.bytes) { $0.write($1) }
    write(opinion.artifact)
  }
}

extension CanonicalReader {
  mutating func readOpinion() throws(DecodingFailure) -> BlockOpinion {
    BlockOpinion(identity: try readIdentity(), artifact: try readDigest())
  }

  mutating func readOpinions() throws(DecodingFailure) -> [BlockOpinion] {
    try readArray(minimumByteCount: Digest.byteCount) { (reader) throws(DecodingFailure) in
      try reader.readOpinion()
    }
  }

  mutating func readIdentity() throws(DecodingFailure) -> PeerIdentity? {
    try readOptional { (reader) throws(DecodingFailure) in
      PeerIdentity(try reader.readBytes())
    }
  }
}
