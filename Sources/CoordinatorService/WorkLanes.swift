import SystemIO

/// Threads for work that waits for disks or hashes much, so that the network thread never does.
///
/// Work is given to lanes. What one lane gets is done in order, a piece at a time; lanes do not
/// wait for each other, and none can keep all threads for itself longer than one piece takes.
final class WorkLanes: Sendable {
  typealias Work = @Sendable () -> Void
  /// Work that goes on elsewhere when it returns; `release` says that it is done.
  typealias HoldingWork = @Sendable (_ release: @escaping Work) -> Void

  /// One order of work, such as that of a connection.
  final class Lane: Sendable {
    /// Work in order; the piece being done is not in it. Scheduled while a thread has the lane or
    /// is about to take it, and while a piece goes on elsewhere.
    private let state = Guarded<(work: [HoldingWork], isScheduled: Bool)>(([], false))
    private let lanes: WorkLanes

    fileprivate init(_ lanes: WorkLanes) {
      self.lanes = lanes
    }

    /// Pieces that are not done yet.
    var count: Int { state.withLock { $0.work.count + ($0.isScheduled ? 1 : 0) } }

    /// Has work done after all that was given before.
    func add(_ work: @escaping Work) {
      addHolding { release in
        work()
        release()
      }
    }

    /// The same for work that no thread waits for; what is given afterwards does.
    ///
    /// - Precondition: It calls `release` once, from any thread.
    func addHolding(_ work: @escaping HoldingWork) {
      let mustSchedule = state.withLock { state in
        state.work.append(work)
        defer { state.isScheduled = true }
        return !state.isScheduled
      }
      if mustSchedule { lanes.ready.put(self) }
    }

    fileprivate func doNext() {
      let next = state.withLock { $0.work.isEmpty ? nil : $0.work.removeFirst() }
      guard let next else { return release() }
      next { [self] in release() }
    }

    private func release() {
      let isDone = state.withLock { state in
        if state.work.isEmpty { state.isScheduled = false }
        return state.work.isEmpty
      }
      // At the end of the line, so that a busy lane lets others in between.
      if !isDone { lanes.ready.put(self) }
    }
  }

  /// Every lane is in it at most once.
  private let ready = Mailbox<Lane>(limit: .max)

  init(threadCount: Int) {
    for _ in 0..<threadCount {
      BackgroundThread.start("work") { [ready] in
        while let lane = ready.take() { lane.doNext() }
      }
    }
  }

  func makeLane() -> Lane { Lane(self) }
}
