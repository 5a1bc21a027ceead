import Hashing

/// Binds a ledger entry to an id without saying it.
///
/// A deletion has one random salt, which stays with the run and can be erased; every id of the
/// deletion gets a salt of its own from it. A receipt shows only the salt of its one id, so its
/// holder can open that commitment and test no guess against the others.
package enum IDCommitment {
  /// HMAC-SHA-256 under the deletion's salt of `lethe-id-salt-1` and the id.
  package static func salt(deletionSalt: Digest, id: [UInt8]) -> Digest {
    HMAC.authenticate(key: deletionSalt.bytes, Array("lethe-id-salt-1".utf8) + id)
  }

  /// HMAC-SHA-256 under the id's salt of the id.
  package static func commitment(salt: Digest, id: [UInt8]) -> Digest {
    HMAC.authenticate(key: salt.bytes, id)
  }

  /// The leaf that stands for a commitment in a deletion's tree.
  package static func leafHash(_ commitment: Digest) -> Digest {
    MerkleTree.leafHash(commitment.bytes)
  }
}

/// Binds a ledger entry to the key of a masked block without saying it.
///
/// A block's key is a function of the records it read: said in the open, it would let anyone who
/// knows all but one of them test guesses for the last.
package enum BlockCommitment {
  /// HMAC-SHA-256 of the key, under HMAC-SHA-256 under the deletion's salt of
  /// `lethe-block-salt-1`.
  package static func commitment(deletionSalt: Digest, key: Digest) -> Digest {
    let salt = HMAC.authenticate(key: deletionSalt.bytes, Array("lethe-block-salt-1".utf8))
    return HMAC.authenticate(key: salt.bytes, key.bytes)
  }
}
