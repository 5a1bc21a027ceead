import WireFormat

/// What workers handed in that was refused, by key: who does it again and again is turned out.
///
/// Kept in memory alone. A key that was turned out is so until the coordinator starts again, or for
/// good once it is revoked.
package struct Misconduct: Sendable {
  package enum Kind: String, CaseIterable {
    case artifact, figures, answer, checkpoint

    /// A checkpoint that is left out harms nobody.
    fileprivate var counts: Bool { self != .checkpoint }
  }

  private struct Record: Sendable {
    var name: String
    var count = 0
    var latest = ""
  }

  /// A worker of this project never has anything refused: a few say that it is another's.
  package static let limit = 3

  package init() {}

  package private(set) var counts = Dictionary(uniqueKeysWithValues: Kind.allCases.map { ($0, 0) })
  private var records: [KeyID: Record] = [:]

  /// Notes a refusal; `true` if the key is to go now.
  package mutating func note(
    _ kind: Kind, of key: KeyID, named name: String, _ reason: String
  ) -> Bool {
    counts[kind, default: 0] += 1
    guard kind.counts else { return false }
    var record = records[key] ?? Record(name: name)
    record.count += 1
    record.latest = reason
    records[key] = record
    return record.count == Self.limit
  }

  /// Why a key may not join; `nil` if it may.
  package func reason(against key: KeyID) -> String? {
    guard let record = records[key], record.count >= Self.limit else { return nil }
    return "the key \(record.name) is turned out: \(record.count) uploads or answers under it were "
      + "refused, the last because \(record.latest)"
  }

  /// Names of the keys that are turned out.
  package var namesTurnedOut: [String] {
    records.values.filter { $0.count >= Self.limit }.map(\.name).sorted()
  }

  /// One sentence a key, for operators.
  package var alarms: [String] {
    records.sorted { ($0.value.name, $0.key) < ($1.value.name, $1.key) }.map { key, record in
      if let reason = reason(against: key) {
        return reason + "; revoke it and make a new one, or start the coordinator again"
      }
      return "\(record.count) uploads or answers under the key \(record.name) were refused, the "
        + "last because \(record.latest)"
    }
  }
}
