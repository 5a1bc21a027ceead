import ServiceSupport
import WireFormat
import WorkerCore

/// Decides which refusal no further attempt can mend.
///
/// Only a coordinator that has proved its key can end a worker. What comes before the proof may
/// come from anyone on the way, so it is a hint: people are told at once, and the worker goes on
/// trying at longer and longer intervals.
struct Attempts {
  /// What follows from how a session ended.
  enum Verdict: Sendable {
    case tryAgain
    /// Somebody who has proved nothing says what this error says.
    case tryAgainSaying(ServiceError)
    case end(ServiceError)
  }

  private var wasEverWelcome = false
  /// In a row, by the coordinator itself.
  private var brokenCount = 0

  private static let brokenLimit = 3

  /// - Note: A conversation that the coordinator itself calls broken can be a busy moment's: three
  ///   in a row end a worker that was never welcome, and one that has worked goes on trying.
  mutating func verdict(after outcome: WorkerSession.Outcome, wasWelcome: Bool) -> Verdict {
    if wasWelcome { wasEverWelcome = true }
    switch outcome {
    case .lost, .ended(.drained), .ended(.silence), .ended(.noAnswer), .ended(.brokenProtocol):
      return .tryAgain
    case .ended(.turnedAway(let refusal)):
      if refusal.cause == .protocolError {
        guard !wasEverWelcome else { return .tryAgain }
        brokenCount += 1
        if brokenCount < Self.brokenLimit { return .tryAgain }
      }
      return error(refusal).map(Verdict.end) ?? .tryAgain
    case .refused(let refusal): return error(refusal).map(Verdict.tryAgainSaying) ?? .tryAgain
    }
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
