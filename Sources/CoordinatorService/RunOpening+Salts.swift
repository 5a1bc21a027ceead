import CoordinatorCore
import ServiceSupport
import Storage
import SystemIO

extension OpenedRun {
  /// Holds the file `salts` against what the journal knows of it.
  ///
  /// Salts of deletions that an earlier build accepted are noted now, so that their loss shows from
  /// here on. An erasure that a crash cut short is finished. What should be there and is not has an
  /// alarm: the run goes on, as its deletions hold without salts, but receipts cannot be made.
  static func settleSalts(
    _ salts: inout SaltStore, _ state: inout RunState, _ directory: RunDirectory,
    _ journal: Journal, _ log: Log
  ) throws {
    let found = try SaltStore.read(directory.saltPath)
    for number in state.salts.erased.sorted() where found[number] != nil {
      salts = try SaltStore.erase(number, in: directory.saltPath)
    }
    let unnoted = state.deletions.compactMap { deletion in
      state.salts.standing(ofDeletion: deletion.number, in: found) == .erased
        || state.salts.checks[deletion.number] != nil
        ? nil
        : found[deletion.number].map { SaltCheck(deletion: deletion.number, salt: $0) }
    }
    if !unnoted.isEmpty {
      let entry = JournalEntry.noted(.salts(unnoted))
      try journal.append([entry.encoded], epoch: UInt64(state.term))
      state.apply(entry)
    }
    if let sentence = Self.lostSalts(state.salts.lost(from: found)) {
      log.write(.saltsLost, sentence)
    }
  }

  /// What people must know of salts that should be there; `nil` without any.
  static func lostSalts(_ lost: [UInt64]) -> String? {
    guard let first = lost.first else { return nil }
    return "the file salts lacks those of \(lost.count) deletions, the first is \(first): it was "
      + "deleted, cut or replaced, and their receipts cannot be made until it is put back from a "
      + "backup"
  }
}
