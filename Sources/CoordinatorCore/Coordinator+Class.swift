import Unlearning

/// Which class a run tries before one is pinned, and who has let it down.
///
/// A class is pinned by the first committed block or by the operator. Until then one class at a
/// time is tried, as keys hold it: the class of the worker whose key has ended the fewest leases
/// without a block. So nobody holds the others up for longer than one lease of its own may stand.
struct ClassElection: Equatable, Sendable {
  private(set) var failures: [PeerIdentity: Int] = [:]
  var isDue = true

  mutating func noteEnd(of identity: PeerIdentity, isOpen: Bool) {
    guard isOpen else { return }
    failures[identity, default: 0] += 1
    isDue = true
  }

  mutating func close() { self = ClassElection() }
}

extension Coordinator {
  /// How long the first lease may take while another class waits; twice as long after each failure,
  /// so that a stage that takes long comes to its end all the same.
  package static let firstTrial: Milliseconds = 30 * 60_000

  /// Chooses the class to try while none is pinned.
  mutating func electClass(into step: inout Step) {
    guard state.numericClass == nil else { return }
    let current = state.candidateClass
    let trainers = workers.filter { $0.value.isTrainer }
    var candidates = trainers.filter { $0.value.wantsWork || leases.lease(of: $0.key) != nil }
    if candidates.isEmpty, current == nil { candidates = trainers }
    let isHeld = candidates.contains { $0.value.introduction.numericClass == current }
    guard election.isDue || !isHeld else { return }
    election.isDue = false
    func rank(_ id: WorkerID, _ worker: WorkerState) -> (Int, Int, WorkerID) {
      (
        election.failures[worker.identity] ?? 0,
        worker.introduction.numericClass == current ? 0 : 1, id
      )
    }
    guard let best = candidates.min(by: { rank($0.key, $0.value) < rank($1.key, $1.value) }),
      best.value.introduction.numericClass != current
    else { return }
    state.consider(best.value.introduction.numericClass)
    state.refreshKeys()
    queue.touchAll()
    for lease in leases.all { cancel(lease, in: &step) }
    dropStaleCheckpoints(in: &step)
    adoptCheckpoints(in: &step)
    refreshTrainers()
  }

  /// Ends a trial that others have waited for long enough.
  mutating func endLongTrials(in step: inout Step) {
    guard state.numericClass == nil,
      workers.values.contains(where: {
        $0.isTrainer && $0.wantsWork && $0.introduction.numericClass != state.candidateClass
      })
    else { return }
    for lease in leases.all {
      guard let worker = workers[lease.worker] else { continue }
      let patience =
        Self.firstTrial << Milliseconds(min(election.failures[worker.identity] ?? 0, 10))
      guard now.monotonic - lease.grantedAt > patience else { continue }
      cancel(lease, in: &step)
      election.noteEnd(of: worker.identity, isOpen: true)
    }
  }

  /// The operator says which class the run is of; heard only while nothing has been trained.
  mutating func pinClass(_ numericClass: String, in step: inout Step) {
    guard state.mayChangeClass, state.numericClass != numericClass else { return }
    record(.numericClassPinned(numericClass), in: &step)
    state.refreshKeys()
    election.close()
    adoptCheckpoints(in: &step)
    refreshTrainers()
  }

  /// Brings what depends on the class in line with it: who can train, and who waits for work.
  mutating func refreshTrainers() {
    trainersByKey = [:]
    idle = []
    untold = []
    for id in workers.keys.sorted() {
      guard var worker = workers[id] else { continue }
      worker.canTrain = isOfClass(worker)
      workers[id] = worker
      guard worker.canTrain else {
        if worker.wantsWork { untold.append(id) }
        continue
      }
      trainersByKey[worker.identity, default: 0] += 1
      if worker.wantsWork, !worker.isDraining { startWaiting(id) }
    }
  }

  /// Whether a worker trains in the class that is pinned, or that is being tried.
  func isOfClass(_ worker: WorkerState) -> Bool {
    guard worker.introduction.roles.contains(.train) else { return false }
    let numericClass = state.numericClass ?? state.candidateClass
    return numericClass == nil || worker.introduction.numericClass == numericClass
  }

  /// Tells those that ask for work in another class why they get none, once for each reason.
  mutating func tellExcluded(in step: inout Step) {
    guard !untold.isEmpty else { return }
    defer { untold = [] }
    for id in untold {
      guard let worker = workers[id], worker.wantsWork, !worker.canTrain else { continue }
      let reason = exclusion(of: worker)
      guard worker.told != reason else { continue }
      workers[id]?.told = reason
      step.effects.append(.tell(id, reason))
    }
  }

  private func exclusion(of worker: WorkerState) -> String {
    let own = worker.introduction.numericClass
    if let pinned = state.numericClass {
      return "no training for this worker: its numeric class is \(own), and this run's is \(pinned)"
    }
    return "no training for this worker yet: the class \(state.candidateClass ?? "") is being "
      + "tried first; if no block comes of it, \(own) is next. lethe train --class decides at once"
  }
}

extension RunState {
  /// Whether no block has ever been trained, so that no bits belong to a class yet.
  package var mayChangeClass: Bool { blocks.isEmpty && maskedSince.isEmpty }
}
