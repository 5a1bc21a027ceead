import CoordinatorCore
import ServiceSupport
import SystemIO
import WireFormat

extension CoordinatorService {
  /// Refuses what a worker handed in for a lease: it hears why, its lease ends as its own failure,
  /// and its key is turned out if this was not the first time.
  ///
  /// - Parameter request: of the message that brought it.
  func refuse(
    _ kind: Misconduct.Kind, _ reason: String, epoch: UInt64, request: UInt64, from link: WorkerLink
  ) {
    link.send(.unavailable(reason), request: request)
    link.send(.uploadRefused(epoch: epoch, .invalidArtifact))
    loop.post(.failed(link.id, epoch: epoch, Failure(kind: .host, reason: reason)))
    note(kind, reason, from: link)
  }

  /// Counts what was refused, and turns the key out that had too much of it.
  func note(_ kind: Misconduct.Kind, _ reason: String, from link: WorkerLink) {
    log.write(
      kind == .answer ? .answerRefused : .artifactRefused, nil,
      [.worker: Log.Value(link.id.number), .error: .text(reason)])
    // Not by its membership: who leaves at once is the same.
    guard let key = link.keyID else { return }
    let name = peerKey(key)?.name ?? "\(key)"
    let (isOut, why) = misconduct.withLock { misconduct in
      (misconduct.note(kind, of: key, named: name, reason), misconduct.reason(against: key))
    }
    guard isOut else { return }
    log.write(.keyTurnedOut, why)
    let links = members.withLock { members in
      members.byID.values.filter { $0.key == key }.map(\.link)
    }
    for link in links { link.close(after: .turnedAway(TurnedAway(.revoked, why ?? ""))) }
  }

  /// Hears of a content that is larger than any of the run's, before it has come.
  func refuse(_ message: WireMessage, request: UInt64, byteCount: Int, from link: WorkerLink) {
    guard !link.isLeaving else { return }
    switch message {
    case .upload(let epoch, _, _, _):
      // Behind what the worker said before: its lease may be on its way.
      link.lane.add { [self] in
        refuse(
          .artifact,
          "the artifact has \(byteCount) bytes, and no block of this run more than "
            + "\(limits.contents.uploadByteCount)", epoch: epoch, request: request, from: link)
      }
    case .checkpoint:
      link.lane.add { [self] in
        note(
          .checkpoint,
          "a checkpoint of \(byteCount) bytes is more than \(limits.contents.checkpointByteCount)",
          from: link)
      }
    default: break
    }
  }

  /// What an operator must look at, besides what the state machine itself has noticed.
  var ownAlarms: [String] {
    openingAlarms + misconduct.withLock { $0.alarms } + fileAlarms() + fences.alarms
  }
}
