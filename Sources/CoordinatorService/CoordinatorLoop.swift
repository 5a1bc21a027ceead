import CoordinatorAPI
import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO

/// Runs the coordinator's state machine: one thread, one order, durable before anyone hears of it.
///
/// Whatever has arrived by the time the thread is free is decided together and synced once. Only
/// then are effects performed and questions answered, so nobody ever sees state that a crash could
/// undo.
final class CoordinatorLoop: Sendable {
  /// Carries out effects; `isUsed` tells of an artifact whether a block has it by now.
  typealias Perform = @Sendable (_ effects: [Effect], _ isUsed: (Digest) -> Bool) -> Void

  /// What a snapshot is made from: the state after the entry of this sequence.
  struct Capture: Sendable {
    var state: RunState
    var sequence: UInt64
    var chain: Digest
  }

  /// What a question may look at; durable when it is asked.
  struct View {
    var coordinator: Coordinator
    var sequence: UInt64
    var syncCount: Int
    /// The disk was full when the journal last grew: only deletions are still taken.
    var isOnReserve: Bool

    fileprivate init(_ coordinator: Coordinator, _ journal: Journal) {
      self.coordinator = coordinator
      sequence = journal.sequence
      syncCount = journal.syncCount
      isOnReserve = journal.isOnReserve
    }
  }

  private enum Work: Sendable {
    /// Evaluated on the loop when its turn comes; `nil` means the event no longer makes sense.
    case event(@Sendable () -> Event?)
    case deletion(Event)
    case inspection(@Sendable (borrowing View) -> Void)
    case reporting(@Sendable (borrowing View, [ShardReport]) -> Void)
    case capture(Promise<Result<Capture, SystemCallError>>)
    case saltErasure(UInt64, isKnown: Promise<Bool>, done: Promise<Bool>)
    case replenishment(@Sendable (SystemCallError) -> Void)
  }

  /// How long things have taken since the start.
  struct Times: Sendable {
    /// Making what was decided together durable in both copies of the journal.
    var appends = Histogram()
    /// From a question to its answer, as a probe four times a second finds it.
    var questions = Histogram()
  }

  private let work = Mailbox<Work>(limit: 1 << 16)
  let times = Guarded(Times())
  private let log: Log
  private let saltPath: String

  init(saltPath: String, log: Log) {
    self.saltPath = saltPath
    self.log = log
  }

  /// Far from the mailbox's limit, beyond which events would be lost.
  var isBusy: Bool { work.count > 1 << 12 }

  /// Hands in something that happened.
  func post(_ event: Event) {
    if case .deletionRequested = event {
      work.put(.deletion(event))
    } else {
      work.put(.event { event })
    }
  }

  /// Hands in something that is only known after work that must happen in the loop's order.
  func post(preparing event: @escaping @Sendable () -> Event?) {
    work.put(.event(event))
  }

  /// Asks about durable state and waits for the answer.
  func view<Value: Sendable>(_ question: @escaping @Sendable (borrowing View) -> Value) -> Value {
    let answer = Promise<Value>()
    work.put(.inspection { answer.fulfil(question($0)) })
    return answer.wait()
  }

  /// Asks about durable state without waiting.
  ///
  /// - Parameter then: On the loop's own thread: it hands the answer on and does nothing else.
  func ask<Value: Sendable>(
    _ question: @escaping @Sendable (borrowing View) -> Value,
    then: @escaping @Sendable (Value) -> Void
  ) {
    work.put(.inspection { then(question($0)) })
  }

  /// The same, with a report of every shard.
  func report<Value: Sendable>(
    _ question: @escaping @Sendable (borrowing View, [ShardReport]) -> Value
  ) -> Value {
    let answer = Promise<Value>()
    work.put(.reporting { answer.fulfil(question($0, $1)) })
    return answer.wait()
  }

  func inspect<Value: Sendable>(_ question: @escaping @Sendable (Coordinator) -> Value) -> Value {
    view { question($0.coordinator) }
  }

  /// Begins a new journal segment and takes the state that a snapshot in front of it must hold.
  ///
  /// - Throws: Where the disk is full; the journal goes on in its present segment.
  func capture() throws(SystemCallError) -> Capture {
    let capture = Promise<Result<Capture, SystemCallError>>()
    work.put(.capture(capture))
    return try capture.wait().get()
  }

  /// Forgets a deletion's salt, durably; `false` if there is no such deletion, or it is erased.
  func eraseSalt(ofDeletion number: UInt64) -> Bool {
    let (isKnown, done) = (Promise<Bool>(), Promise<Bool>())
    work.put(.saltErasure(number, isKnown: isKnown, done: done))
    return done.wait() && isKnown.wait()
  }

  /// Has the journal keep space aside again if it had to give it up and the disk has room.
  func replenish(failed: @escaping @Sendable (SystemCallError) -> Void) {
    work.put(.replenishment(failed))
  }

  /// Takes over from a recovered state and runs on a thread of its own until the process ends.
  func start(
    _ initial: Coordinator, journal: sending Journal, salts: sending SaltStore,
    requestsOnTheirWay: @escaping @Sendable () -> Bool, perform: @escaping Perform
  ) {
    nonisolated(unsafe) let journal = journal
    nonisolated(unsafe) var salts = salts
    BackgroundThread.start("coordinator") { [self] in
      var coordinator = initial
      while true { turn(&coordinator, journal, &salts, requestsOnTheirWay, perform) }
    }
  }

  private func turn(
    _ coordinator: inout Coordinator, _ journal: Journal, _ salts: inout SaltStore,
    _ requestsOnTheirWay: () -> Bool, _ perform: Perform
  ) {
    var step = Step()
    var later: [Work] = []
    for item in gather(requestsOnTheirWay) {
      switch item {
      case .event(let prepare):
        if let event = prepare() { step.add(coordinator.handle(event, at: .now)) }
      case .deletion(let event): step.add(coordinator.handle(event, at: .now))
      case .saltErasure(let number, let isKnown, _):
        let erasure = coordinator.handle(.saltErasureRequested(number), at: .now)
        isKnown.fulfil(!erasure.entries.isEmpty)
        step.add(erasure)
        later.append(item)
      case .inspection, .reporting, .capture, .replenishment: later.append(item)
      }
    }
    durably {
      // Salts first: a deletion whose salt is lost has a receipt that nobody can open.
      try salts.append(step.salts)
      let start = SystemClock.seconds
      try journal.append(step.entries.map(\.encoded), epoch: UInt64(coordinator.state.term))
      if !step.entries.isEmpty {
        times.withLock { $0.appends.add(seconds: SystemClock.seconds - start) }
      }
    }
    for entry in step.entries { entry.write(to: log) }
    perform(step.effects) { coordinator.state.artifactUses[$0] != nil }
    for item in later {
      switch item {
      case .event, .deletion: break
      case .inspection(let inspection): inspection(View(coordinator, journal))
      case .reporting(let reporting):
        let reports = coordinator.refreshedReports()
        reporting(View(coordinator, journal), reports)
      case .capture(let capture):
        durably {
          do throws(SystemCallError) {
            try journal.rotate()
          } catch {
            guard error.isDiskFull else { throw error }
            return capture.fulfil(.failure(error))
          }
          capture.fulfil(
            .success(
              Capture(state: coordinator.state, sequence: journal.sequence, chain: journal.chain)))
        }
      case .replenishment(let failed):
        guard journal.isOnReserve else { continue }
        // A file of its own: what goes wrong with it says nothing of the segments.
        do throws(SystemCallError) { try journal.replenish() } catch { failed(error) }
      case .saltErasure(let number, _, let done):
        durably {
          // The journal says so by now: a start after a crash here erases the bytes.
          if coordinator.state.salts.erased.contains(number),
            try SaltStore.read(saltPath)[number] != nil
          {
            salts = try SaltStore.erase(number, in: saltPath)
          }
          done.fulfil(true)
        }
      }
    }
  }

  /// Longest that a deletion waits for others to share its syncs.
  private static let gatheringSeconds = 0.01

  /// Takes what has arrived; with a deletion in it, also what is about to.
  ///
  /// A group of deletions costs the syncs of one, so a short wait for requests that have begun to
  /// arrive serves everybody sooner. A deletion alone waits for nothing.
  private func gather(_ requestsOnTheirWay: () -> Bool) -> [Work] {
    var items = work.takeAll()
    guard items.contains(where: { if case .deletion = $0 { true } else { false } }) else {
      return items
    }
    let deadline = SystemClock.seconds + Self.gatheringSeconds
    while requestsOnTheirWay(), SystemClock.seconds < deadline {
      SystemClock.sleep(seconds: 0.000_2)
      items += work.takeAllNow()
    }
    return items
  }

  /// Ends the process at the first failure: the kernel may have dropped what it could not write, so
  /// memory and disk no longer agree and nothing more may be said. The next start continues from
  /// what is on disk.
  private func durably(_ body: () throws -> Void) {
    do {
      try body()
    } catch {
      log.write(.journalFailed, nil, [.error: Log.Value(error)])
      let isDiskFull = (error as? SystemCallError)?.isDiskFull == true
      SystemProcess.exitAtOnce(isDiskFull ? 73 : 1)
    }
  }
}

extension Moment {
  static var now: Moment {
    Moment(
      monotonic: SystemClock.monotonicMilliseconds, wall: SystemClock.wallMilliseconds)
  }
}
