/// Why a journal cannot be trusted, and where.
///
/// Every kind means that acknowledged facts may be lost, so nothing is guessed and nothing changed.
package struct JournalDefect: Error, Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    /// The segment's header is valid in neither copy.
    case headerLost
    /// Written by a format this build does not know.
    case unsupported(version: UInt32)
    /// The frame is valid in neither copy, and not surely one that was never acknowledged.
    case frameLost
    /// Both copies hold a valid frame or header here, and not the same.
    case diverged
    /// The segment does not continue what stands before it.
    case chainBroken
    /// The frames end before a sequence that is known to have been acknowledged.
    case framesMissing(through: UInt64)
  }

  package var kind: Kind
  /// First sequence of the segment, which also names its file.
  package var segment: UInt64
  /// The sequence that was expected.
  package var sequence: UInt64
  package var byteOffset: Int

  package init(_ kind: Kind, segment: UInt64, sequence: UInt64, byteOffset: Int) {
    self.kind = kind
    self.segment = segment
    self.sequence = sequence
    self.byteOffset = byteOffset
  }
}

extension JournalDefect: CustomStringConvertible {
  package var description: String {
    let what =
      switch kind {
      case .headerLost: "the header is valid in neither copy"
      case .unsupported(let version): "format \(version) is not known to this build"
      case .frameLost: "the frame is valid in neither copy"
      case .diverged: "the two copies hold different valid bytes"
      case .chainBroken: "the chain does not continue what stands before"
      case .framesMissing(let last): "frames through \(last) were acknowledged and are missing"
      }
    return "\(what): segment \(segment), sequence \(sequence), byte \(byteOffset)"
  }
}
