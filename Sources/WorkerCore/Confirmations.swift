/// Which purges are still to be confirmed, and the work that each waits for.
///
/// A purge may be confirmed only when nothing of the purged records is left in this worker. What
/// is kept goes at once, with the effect `forget`. Work that has taken something out, or is about
/// to put something in, is a *use*; the confirmation waits for the uses that could hold purged
/// records:
///
/// - a question that began before the `forget`, as it may hold an artifact that was dropped, or
///   work where an earlier one has left something; it is given up where it takes long;
/// - a lease that was cancelled, or is given up, until its step has ended and every answer to it
///   has come;
/// - a lease whose upload is under way: the coordinator may have taken it and hold no lease any
///   more, and then a deletion has nothing to cancel. It ends when the upload is answered; an
///   answer that asks for it later says that the lease stands.
///
/// **Invariant.** Any other lease holds no purged record, so it goes on. The coordinator cancels
/// every lease whose key is no longer the expected one in the very step that deletes, and speaks on
/// one ordered connection: whoever has read `forget` has read those cancels. A lease that is left
/// has the key of the retained records, the key names the digest of every slice, and records are
/// taken only if they have that digest: not one more, not an older version. An answer with an
/// older version may still be on its way, but only to a lease that was cancelled, and that lease
/// ends only after its answer has come.
///
/// A use that began before a `forget` also puts nothing in after it.
struct Confirmations: Sendable {
  /// Work on records, from before its first byte is asked for until after its last is gone.
  struct Use: Equatable, Sendable {
    fileprivate let number: UInt64
    fileprivate let purgeCount: UInt64
  }

  private var purgeCount: UInt64 = 0
  private var lastUse: UInt64 = 0
  /// Confirmations that are owed, oldest first, with the uses they wait for.
  private var owed: [(deletion: UInt64, uses: Set<UInt64>)] = []
  private var isOver = false

  var owedCount: Int { owed.count }

  mutating func begin() -> Use {
    lastUse += 1
    return Use(number: lastUse, purgeCount: purgeCount)
  }

  /// Whether a use may still put something in.
  func admits(_ use: Use) -> Bool { use.purgeCount == purgeCount }

  /// Ends a use whose records are gone.
  ///
  /// - Returns: deletions whose purge is to be confirmed now, oldest first.
  mutating func end(_ use: Use) -> [UInt64] {
    for index in owed.indices { owed[index].uses.remove(use.number) }
    return takeDue()
  }

  /// Notes a purge and the uses that could hold what it purges.
  ///
  /// - Returns: deletions whose purge is to be confirmed now, oldest first.
  mutating func forget(throughDeletion number: UInt64, waitingFor uses: [Use]) -> [UInt64] {
    purgeCount += 1
    guard !isOver else { return [] }
    owed.append((number, Set(uses.map(\.number))))
    return takeDue()
  }

  /// Nothing is confirmed any more: something is left that only the end of the session takes away.
  mutating func stop() {
    isOver = true
    owed = []
  }

  /// In order: a confirmation stands for all deletions before it.
  private mutating func takeDue() -> [UInt64] {
    var due: [UInt64] = []
    while let first = owed.first, first.uses.isEmpty {
      due.append(first.deletion)
      owed.removeFirst()
    }
    return due
  }
}
