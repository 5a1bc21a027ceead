import ByteCoding
import Hashing
import Unlearning

/// A change of state that systems outside the run are told of.
package struct Notice: Equatable, Sendable {
  /// What has changed; the order is that of a deletion's life.
  package enum Kind: String, CaseIterable, Sendable {
    case deletionAcknowledged = "deletion.acknowledged"
    case deletionPurged = "deletion.purged"
    case deletionRepaired = "deletion.repaired"
    case deletionOverdue = "deletion.overdue"
    case deletionCertified = "deletion.certified"
    case runTrained = "run.trained"
    case alarmRaised = "alarm.raised"
  }

  package enum Subject: Equatable, Sendable {
    case deletion(Deletion)
    /// Every block stands.
    case run(blocks: Int, records: Int)
    /// A condition's name, and what it is about where the name alone does not say it.
    case alarm(String, about: String?)
  }

  package let kind: Kind
  package let at: Milliseconds
  package let subject: Subject

  package init(kind: Kind, at: Milliseconds, subject: Subject) {
    self.kind = kind
    self.at = at
    self.subject = subject
  }

  /// Names this change and no other one of any run, whenever and however often it is told.
  ///
  /// - Parameter partitionKey: The run's own; the name does not show it.
  package func identity(partitionKey: [UInt8]) -> Digest {
    var writer = CanonicalWriter()
    writer.write("lethe-notice-1")
    writer.write(kind.rawValue)
    switch subject {
    case .deletion(let deletion):
      writer.write(deletion.number)
      // A lossy restore may use a number again, for another deletion.
      writer.write(deletion.acceptedAt)
    case .run: writer.write(at)
    case .alarm(let name, let about):
      writer.write(name)
      writer.write(about ?? "")
      writer.write(at)
    }
    return HMAC.authenticate(key: partitionKey, writer.bytes)
  }
}

/// A condition that an operator must look at.
package struct Condition: Hashable, Comparable, Sendable {
  package var name: String
  package var about: String?

  package init(_ name: String, about: String? = nil) {
    self.name = name
    self.about = about
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.name, left.about ?? "") < (right.name, right.about ?? "")
  }
}

/// What a receiver has been told: small, kept on disk beside the run, one for each receiver.
///
/// What there is to tell follows from the run's state and from this alone. So nothing is lost while
/// a receiver is away or the process is not there, however old the journal entries are by then.
package struct NoticeCursor: Equatable, Sendable {
  /// A condition that stands.
  package struct Alarm: Equatable, Sendable {
    package var since: Milliseconds
    package var isTold: Bool

    package init(since: Milliseconds, isTold: Bool) {
      self.since = since
      self.isTold = isTold
    }
  }

  /// Deletions up to this number have nothing more to tell.
  package var finishedThrough: UInt64 = 0
  /// What has been told of later ones.
  package var told: [UInt64: Set<Notice.Kind>] = [:]
  /// When the last block came to stand of the run that was last told to be trained.
  package var trainedAt: Milliseconds?
  package var alarms: [Condition: Alarm] = [:]

  package init() {}

  /// Takes a run that was restored from a backup and lost its newest deletions: their numbers will
  /// be those of other ones, which nobody has been told of.
  package mutating func fit(_ state: RunState) {
    let count = UInt64(state.deletions.count)
    finishedThrough = min(finishedThrough, count)
    told = told.filter { $0.key <= count }
  }

  /// Notes which conditions stand; one that has gone may come again as a new one.
  package mutating func observe(_ conditions: Set<Condition>, at now: Milliseconds) {
    alarms = alarms.filter { conditions.contains($0.key) }
    for condition in conditions where alarms[condition] == nil {
      alarms[condition] = Alarm(since: now, isTold: false)
    }
  }

  /// Notes that a receiver knows.
  package mutating func mark(_ notice: Notice) {
    switch notice.subject {
    case .deletion(let deletion):
      told[deletion.number, default: []].insert(notice.kind)
      // Certified comes last, whatever else there was to tell.
      while told[finishedThrough + 1]?.contains(.deletionCertified) == true {
        finishedThrough += 1
        told[finishedThrough] = nil
      }
    case .run: trainedAt = notice.at
    case .alarm(let name, let about): alarms[Condition(name, about: about)]?.isTold = true
    }
  }

  /// Everything that a receiver does not know yet, in the order to tell it.
  ///
  /// - Parameter isTrained: Every block stands.
  package func pending(_ state: RunState, isTrained: Bool, now: Milliseconds) -> [Notice] {
    var found: [(rank: Int, notice: Notice)] = []
    for deletion in state.deletions.dropFirst(Int(finishedThrough)) {
      let told = told[deletion.number] ?? []
      // A clock that was set back must not turn a deletion's life around.
      var latest = deletion.acceptedAt
      for (rank, kind) in Notice.Kind.allCases.enumerated() {
        guard var at = kind.time(of: deletion, now: now) else { continue }
        at = max(at, kind == .deletionOverdue ? deletion.acceptedAt : latest)
        // A due date passes beside what the run does; only being certified ends it.
        if kind != .deletionOverdue { latest = at }
        guard !told.contains(kind) else { continue }
        found.append((rank, Notice(kind: kind, at: at, subject: .deletion(deletion))))
      }
    }
    if isTrained, let last = state.blocks.values.map(\.at).max(), last != trainedAt {
      found.append(
        (
          Notice.Kind.allCases.count,
          Notice(
            kind: .runTrained, at: last,
            subject: .run(blocks: state.plan.slotCount, records: state.recordCount))
        ))
    }
    for (condition, alarm) in alarms.sorted(by: { $0.key < $1.key }) where !alarm.isTold {
      found.append(
        (
          Notice.Kind.allCases.count,
          Notice(
            kind: .alarmRaised, at: alarm.since,
            subject: .alarm(condition.name, about: condition.about))
        ))
    }
    // Sorting is stable: what is equal here stays in the order of deletions and of a life.
    return found.sorted { ($0.notice.at, $0.rank) < ($1.notice.at, $1.rank) }.map(\.notice)
  }
}

extension Notice.Kind {
  /// When a deletion came to this, if it has.
  fileprivate func time(of deletion: Deletion, now: Milliseconds) -> Milliseconds? {
    switch self {
    case .deletionAcknowledged: deletion.acceptedAt
    case .deletionPurged: deletion.purgedAt
    // Blocks may stand again before the bytes are gone; the state is said once both are done.
    case .deletionRepaired:
      deletion.purgedAt.flatMap { purged in deletion.repairedAt.map { max($0, purged) } }
    case .deletionOverdue: deletion.due < deletion.certifiedAt ?? now ? deletion.due : nil
    case .deletionCertified: deletion.certifiedAt
    case .runTrained, .alarmRaised: nil
    }
  }
}
