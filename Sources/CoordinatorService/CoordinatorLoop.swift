import CoordinatorCore
import ServiceSupport
import Storage
import SystemIO

/// Runs the coordinator's state machine: one thread, one order, durable before anyone hears of it.
///
/// Whatever has arrived by the time the thread is free is decided together and synced once. Only
/// then are effects performed and questions answered, so nobody ever sees state that a crash could
/// undo.
final class CoordinatorLoop: Sendable {
  typealias Perform = @Sendable ([Effect]) -> Void

  private enum Work: Sendable {
    /// Evaluated on the loop when its turn comes; `nil` means the event no longer makes sense.
    case event(@Sendable () -> Event?)
    case inspection(@Sendable (Coordinator, UInt64) -> Void)
  }

  private let work = Mailbox<Work>(limit: 1 << 16)
  private let log: Log

  init(log: Log) {
    self.log = log
  }

  /// Hands in something that happened.
  func post(_ event: Event) {
    work.put(.event { event })
  }

  /// Hands in something that is only known after work that must happen in the loop's order.
  func post(preparing event: @escaping @Sendable () -> Event?) {
    work.put(.event(event))
  }

  /// Asks about durable state and waits for the answer.
  func inspect<Value: Sendable>(
    _ question: @escaping @Sendable (Coordinator, _ journalSequence: UInt64) -> Value
  ) -> Value {
    let answer = Promise<Value>()
    work.put(.inspection { answer.fulfil(question($0, $1)) })
    return answer.wait()
  }

  func inspect<Value: Sendable>(_ question: @escaping @Sendable (Coordinator) -> Value) -> Value {
    inspect { coordinator, _ in question(coordinator) }
  }

  /// Takes over from a recovered state and runs on a thread of its own until the process ends.
  func start(
    _ initial: Coordinator, journal: sending JournalFile, perform: @escaping Perform
  ) {
    nonisolated(unsafe) let journal = journal
    BackgroundThread.start("coordinator") { [self] in
      var coordinator = initial
      while true { turn(&coordinator, journal, perform) }
    }
  }

  private func turn(
    _ coordinator: inout Coordinator, _ journal: JournalFile, _ perform: Perform
  ) {
    var entries: [JournalEntry] = []
    var effects: [Effect] = []
    var inspections: [@Sendable (Coordinator, UInt64) -> Void] = []
    for item in work.takeAll() {
      switch item {
      case .event(let prepare):
        guard let event = prepare() else { continue }
        let step = coordinator.handle(event, at: .now)
        entries += step.entries
        effects += step.effects
      case .inspection(let inspection): inspections.append(inspection)
      }
    }
    do {
      try journal.append(entries)
    } catch {
      // The kernel may have dropped what it could not write; memory and disk no longer agree, so
      // nothing more may be said. The next start continues from what is on disk.
      log.write("journal_failed", "\(error)")
      SystemProcess.exitAtOnce(error.isDiskFull ? 73 : 1)
    }
    perform(effects)
    for inspection in inspections { inspection(coordinator, journal.sequence) }
  }
}

extension Moment {
  static var now: Moment {
    Moment(
      monotonic: SystemClock.monotonicMilliseconds, wall: SystemClock.wallMilliseconds)
  }
}
