import Hashing

/// Who a peer has proved to be: the id of its key, whatever name or host it gives itself.
///
/// Poisoning, audits, disputes and pauses go by it. The shell takes it from the session's handshake
/// and never from a message.
package struct PeerIdentity: Hashable, Comparable, Sendable {
  package let bytes: [UInt8]

  package init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  package static func < (left: Self, right: Self) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }
}

extension PeerIdentity: CustomStringConvertible {
  package var description: String { bytes.hex }
}

/// What the shell has made sure of about a peer, as opposed to what the peer says of itself.
package struct PeerProof: Equatable, Sendable {
  package var identity: PeerIdentity
  /// The head in its hello, if this run's own tag was on it.
  package var head: LedgerHead?

  package init(_ identity: PeerIdentity, head: LedgerHead? = nil) {
    self.identity = identity
    self.head = head
  }
}

/// A ledger head with the tag of the run that gave it out.
///
/// Only the run's own processes can make the tag, so a peer can show a head again but invent none.
package struct AttestedHead: Equatable, Sendable {
  package let head: LedgerHead
  package let tag: Digest

  package init(_ head: LedgerHead, tag: Digest) {
    self.head = head
    self.tag = tag
  }

  /// What the tag covers.
  package static func message(_ head: LedgerHead) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: head.size >> (8 * UInt64($0))) } + head.root.bytes
  }
}
