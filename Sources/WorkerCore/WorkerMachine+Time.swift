import CoordinatorCore
import WireFormat

extension WorkerMachine {
  mutating func tick() {
    if now - lastHeard >= settings.silenceLimit { return end(.silence) }
    guard isWelcome else { return }
    if let since = waitingSince, now - since >= settings.answerLimit { return end(.noAnswer) }
    if let deadline = drainDeadline, deadline <= now { return leave() }
    offerAgainIfDue()
    giveWayIfDue()
    takeCheckpointIfDue()
    if nextHeartbeat <= now {
      send(
        .heartbeat(
          epoch: lease?.epoch ?? 0, lease?.progress ?? StageProgress(step: 0, totalSteps: 0)))
      nextHeartbeat = now + heartbeatPause
    }
  }

  /// A fleet that started together must not beat together: the interval, a fifth more or less.
  var heartbeatPause: Milliseconds {
    let interval = settings.heartbeatInterval
    return interval * 4 / 5 + interval * 2 * Milliseconds(jitter) / (5 * 255)
  }

  // MARK: - Draining

  /// Hands over what is under way and ends: a checkpoint of the stage, answers to questions that
  /// came before, and uploads until they are answered.
  mutating func drain() {
    guard drainDeadline == nil else { return }
    guard isWelcome else { return end(.drained) }
    drainDeadline = now + settings.drainPatience
    send(.draining)
    if let lease {
      switch lease.phase {
      case .training(var clock) where lease.progress.step > clock.step:
        if !clock.isUnderWay {
          clock.isUnderWay = true
          self.lease?.phase = .training(clock)
          effects.append(.takeCheckpoint(epoch: lease.epoch))
        }
        return
      case .uploading:
        drainDeadline = now + settings.uploadPatience
        return
      // Nothing would be lost.
      case .fetching, .training, .abandoned, .stopping: giveUpLease()
      }
    }
    leaveIfDone()
  }

  /// Ends a drain when nothing is left that somebody waits for.
  mutating func leaveIfDone() {
    if drainDeadline != nil, lease == nil, question == nil { end(.drained) }
  }

  /// Ends a drain whatever is under way.
  mutating func leave() {
    giveUpLease()
    end(.drained)
  }

  /// Returns the lease. What it holds goes with the session, which confirms nothing any more.
  mutating func giveUpLease() {
    guard let lease else { return }
    switch lease.phase {
    case .uploading: return
    case .fetching, .training, .abandoned, .stopping: break
    }
    send(.failed(epoch: lease.epoch, Failure(kind: .cancelled, reason: "draining")))
    if case .training = lease.phase { effects.append(.stop(epoch: lease.epoch)) }
    confirmations.stop()
    self.lease = nil
  }
}
