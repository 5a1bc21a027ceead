import Hashing
import Ledger
import Unlearning

/// Purging: an account of every place, in which none waits for another.
///
/// A purge ends when every place in the run's directory is clean, every worker has confirmed or
/// been cut off, and every export of the order is removed or has been found out of reach. The first
/// is tried until it succeeds, as the run's directory is ours; the others have `confirmationLimit`.
extension Coordinator {
  /// How long a purge waits for anybody: a worker that has not confirmed by then is cut off.
  ///
  /// Two purges in a row, the longest that a deletion can wait for workers, stay within 30 s.
  package static let confirmationLimit: Milliseconds = 12_000
  /// An export that has failed this often is out of reach; a purge waits for it no longer.
  package static let exportTries = 2

  mutating func notePurge(_ event: Event, in step: inout Step) {
    switch event {
    case .purgeFinished(let number):
      for place in PurgePlace.own { settle(place, of: number, problem: nil) }
    case .purgeReported(let place, let number, let problem):
      settle(place, of: number, problem: problem)
    case .purgeConfirmed(let id, let number):
      settle(.worker(id), of: number, problem: nil)
    case .exportReported(let copy, let problem):
      // Another export may have been written there since.
      guard state.copies[copy.path] == copy else { return }
      if let problem {
        exportRemovals[copy.path]?.fail(problem, at: now.monotonic)
      } else {
        record(.copyRemoved(path: copy.path, at: now.wall), in: &step)
      }
    default: break
    }
  }

  private mutating func settle(_ place: PurgePlace, of number: UInt64, problem: String?) {
    // An answer to an earlier purge is none to this one.
    guard purge?.order.throughDeletion == number, purge?.places[place]?.isSettled == false else {
      return
    }
    if let problem {
      purge?.places[place]?.fail(problem, at: now.monotonic)
    } else {
      purge?.places[place]?.standing = .done
    }
  }

  /// Tries again what failed, and goes on without those who had their time.
  mutating func tickPurge(into step: inout Step) {
    for (path, progress) in exportRemovals.sorted(by: { $0.key < $1.key })
    where progress.isDue(at: now.monotonic) {
      guard let copy = state.copies[path] else { continue }
      exportRemovals[path]?.standing = .underWay
      step.effects.append(.removeExport(copy))
    }
    guard let order = purge?.order else { return }
    for place in PurgePlace.own where purge?.places[place]?.isDue(at: now.monotonic) == true {
      purge?.places[place]?.standing = .underWay
      step.effects.append(.purgeAgain(order, place))
    }
    cutOffLate(into: &step)
  }

  private var purgeIsLate: Bool {
    purge.map { now.monotonic - $0.startedAt.monotonic >= Self.confirmationLimit } ?? false
  }

  private mutating func cutOffLate(into step: inout Step) {
    guard purgeIsLate, let late = purge?.workersToHear, !late.isEmpty else { return }
    // Said before the purge is, so that its receipt cannot claim what nobody confirmed. Deletions
    // that came after the order are meant too: such a worker has confirmed none of them.
    record(
      .workersCutOff(
        throughDeletion: UInt64(state.deletions.count), count: UInt32(clamping: late.count),
        at: now.wall), in: &step)
    let reason =
      "it did not confirm within \(Self.confirmationLimit / 1000) s that it forgot deleted records"
    for id in late {
      leave(id, into: &step)
      step.effects.append(.cutOff(id, reason: reason))
    }
  }

  /// Orders the removal of every export that holds an artifact of no block any more.
  ///
  /// Apart from the purge: what cannot be removed now is tried for as long as the run knows of it.
  mutating func settleExports(into step: inout Step) {
    let mayHaveChanged = step.entries.contains { entry in
      switch entry {
      case .started, .deleted, .quarantined, .disputed, .artifactLost, .copied, .copyRemoved: true
      case .created, .ingested, .numericClassPinned, .trainingRequested, .committed, .purged,
        .repaired, .certified, .snapshotTaken, .restored, .workersCutOff, .noted:
        false
      }
    }
    guard mayHaveChanged else { return }
    let due = state.staleExports
    exportRemovals = exportRemovals.filter { path, _ in due.contains { $0.path == path } }
    for copy in due {
      let isNew = step.entries.contains { $0 == .copied(copy) }
      guard isNew || exportRemovals[copy.path] == nil else { continue }
      exportRemovals[copy.path] = PlaceProgress(since: now)
      step.effects.append(.removeExport(copy))
    }
  }

  mutating func settlePurge(into step: inout Step) {
    if let purge, isFinished(purge) {
      record(
        .purged(
          throughDeletion: purge.order.throughDeletion, slices: purge.order.slices,
          artifacts: purge.order.artifacts.filter { !purge.named.contains($0) }, at: now.wall),
        in: &step)
      records.forgetErased(purge.order.rows.count)
      for path in purge.order.exports {
        exportRemovals[path]?.leaveOut("its disk has not answered")
      }
      self.purge = nil
    }
    guard purge == nil,
      !state.slicesToPurge.isEmpty || !state.artifactsToPurge.isEmpty || !records.condemned.isEmpty
    else { return }
    let order = PurgeOrder(
      throughDeletion: UInt64(state.deletions.count),
      slices: state.slicesToPurge.sorted(),
      rows: records.condemned,
      artifacts: state.artifactsToPurge.sorted(),
      exports: exportRemovals.filter { !$0.value.isLeftOut }.keys.sorted())
    purge = PurgeProgress(order, workers: workers.keys, at: now)
    step.effects.append(.purge(order))
    for id in workers.keys.sorted() {
      step.effects.append(
        .forget(id, throughDeletion: order.throughDeletion, artifacts: order.artifacts))
    }
  }

  private func isFinished(_ purge: PurgeProgress) -> Bool {
    purge.places.values.allSatisfy(\.isSettled)
      && purge.order.exports.allSatisfy { path in
        // Removed, found out of reach, or silent for too long, as a network's disk can be.
        exportRemovals[path].map { $0.failures >= Self.exportTries || purgeIsLate } ?? true
      }
  }
}

extension RunState {
  /// Exports that hold an artifact of no block any more, by path.
  package var staleExports: [OutsideCopy] {
    copies.values.filter { copy in
      copy.kind == .export && copy.artifacts.contains { artifactUses[$0] == nil }
    }.sorted { $0.path < $1.path }
  }

  /// What the purge of a deletion has achieved wherever record bytes can be, as it stands now;
  /// levels as in `Protocols/receipt.md`.
  func erasure(of deletion: Deletion) -> [ErasureClaim] {
    var reached = ["slices", "artifacts", "journal"].map {
      ErasureClaim(location: $0, level: .unlinked)
    }
    // A worker that was cut off answers nobody, but nobody knows what is left in its memory.
    reached.append(
      ErasureClaim(
        location: "workers", level: deletion.workersCutOff == 0 ? .unlinked : .unreachable))
    reached.append(
      ErasureClaim(location: "exports", level: staleExports.isEmpty ? .unlinked : .unreachable))
    // A backup is not opened to take records out: restoring it replays the deletions instead.
    if copies.values.contains(where: { $0.kind == .backup }) {
      reached.append(ErasureClaim(location: "backups", level: .unreachable))
    }
    return reached
  }
}
