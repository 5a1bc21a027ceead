import ServiceSupport
import WireFormat
import WorkerCore

/// Which refusal no further attempt can mend.
struct Attempts {
  private var wasEverWelcome = false
  /// In a row, by peers that may be anyone.
  private var hintCount = 0

  private static let hintLimit = 3

  /// What to tell people instead of trying again.
  ///
  /// A refusal before the coordinator has proved its key may come from anyone on the way, and a
  /// broken conversation from a busy moment. Three in a row end a worker that was never welcome, so
  /// that a wrong key or address is told soon; one that has worked goes on trying.
  mutating func finalError(after outcome: WorkerSession.Outcome, wasWelcome: Bool)
    -> ServiceError?
  {
    if wasWelcome { wasEverWelcome = true }
    switch outcome {
    case .lost, .ended(.drained), .ended(.silence), .ended(.noAnswer), .ended(.brokenProtocol):
      return nil
    case .ended(.turnedAway(let refusal)):
      return refusal.cause == .protocolError ? afterHint(refusal) : error(refusal)
    case .refused(let refusal): return afterHint(refusal)
    }
  }

  private mutating func afterHint(_ refusal: TurnedAway) -> ServiceError? {
    guard !wasEverWelcome, refusal.cause != .full else { return nil }
    hintCount += 1
    return hintCount < Self.hintLimit ? nil : error(refusal)
  }

  private func error(_ refusal: TurnedAway) -> ServiceError? {
    var what = "the coordinator turned this worker away"
    let hint: String
    switch refusal.cause {
    case .full: return nil
    case .version: hint = "give the worker the coordinator's version of lethe"
    case .backbone:
      hint = "give the worker the run's own backbone, and --starting-adapter if the run has one"
    case .role: hint = "use a key whose role allows it, or start the worker with --role serve"
    case .revoked: hint = "make a new key: lethe key new on the coordinator's machine"
    case .protocolError:
      what = "coordinator and worker do not come together"
      hint = "check the address, the key file, and that both ends have one version of lethe"
    }
    return ServiceError(
      .configuration, "\(what): \(refusal.reason)", try: hint)
  }
}

extension WorkerSession.Outcome {
  /// For the log.
  var text: String {
    switch self {
    case .lost(let reason): reason
    case .refused(let refusal): refusal.reason
    case .ended(let reason):
      switch reason {
      case .turnedAway(let refusal): refusal.reason
      case .drained: "drained"
      case .silence: "nothing was heard of the coordinator"
      case .noAnswer: "the coordinator did not answer"
      case .brokenProtocol(let what): "the coordinator broke the protocol: \(what)"
      }
    }
  }
}
