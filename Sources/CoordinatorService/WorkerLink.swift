import CoordinatorCore
import Hashing
import SystemIO
import WireFormat

/// One connection to the worker port, from its first byte on.
///
/// The network thread reads; whoever has something to say puts it here, and seals and sends as much
/// as the kernel takes at once. The rest is sealed a frame at a time as the peer takes it, so that
/// a heartbeat's answer passes between the chunks of an artifact. A peer that lets the queue fill
/// up is cut off rather than waited for.
final class WorkerLink: Sendable {
  let id: WorkerID
  let socket: PolledSocket
  /// Keeps the order of the peer's messages while some of them wait for disks.
  let lane: WorkLanes.Lane
  /// Where long messages are sealed on.
  private let sealing: WorkLanes.Lane
  /// Held while messages are opened or sealed; always taken before `outgoing`.
  private let end: Guarded<CoordinatorEnd>
  private let outgoing = Guarded(Outgoing())
  /// Asks the network thread to look at the link.
  private let attend: @Sendable (WorkerLink) -> Void
  /// Questions to the worker that wait for their answers, by request number.
  private let questions = Guarded<(last: UInt64, waiting: [UInt64: Promise<WireMessage?>])>(
    (0, [:]))
  /// Artifacts that questions which wait are about: what the worker may fetch for them.
  private let asked = Guarded<[UInt64: Set<Digest>]>([:])

  /// When the peer's last bytes came.
  private let heardAt = Guarded(SystemClock.monotonicMilliseconds)

  /// Sealed bytes on their way to the peer.
  private struct Outgoing: Sendable {
    var pieces: [[UInt8]] = []
    /// Pieces and bytes of the first of them that the kernel has.
    var sentPieces = 0
    var sentBytes = 0
    var byteCount = 0
    /// Bytes of messages that are not sealed yet.
    var unsealedByteCount = 0
    var isSealing = false
    var isClosed = false
    /// Nothing more is taken in; when all is sent, the connection ends.
    var isLast = false
  }

  init(
    id: WorkerID, _ socket: PolledSocket, _ end: CoordinatorEnd, lanes: WorkLanes,
    attend: @escaping @Sendable (WorkerLink) -> Void
  ) {
    self.id = id
    self.socket = socket
    self.end = Guarded(end)
    lane = lanes.makeLane()
    sealing = lanes.makeLane()
    self.attend = attend
  }

  // MARK: - The network thread

  /// What the link looks like after bytes have come.
  struct Reception: Sendable {
    var actions: [CoordinatorEnd.Action]
    var isAuthenticated: Bool
    var bufferedByteCount: Int
    var deadline: Milliseconds
  }

  /// Opens what has come; `nil` while another thread seals a long message.
  func receive(
    _ bytes: [UInt8], at now: Milliseconds, key: (KeyID) -> PeerKey?
  ) -> Reception? {
    heardAt.withLock { $0 = now }
    return end.withLockIfFree { end in reception(end.receive(bytes, at: now, key: key), end) }
  }

  /// Ends the conversation if its deadline has passed.
  func expire(at now: Milliseconds) -> Reception? {
    end.withLockIfFree { end in reception(end.expire(at: now), end) }
  }

  private func reception(_ actions: [CoordinatorEnd.Action], _ end: CoordinatorEnd) -> Reception {
    for case .write(let bytes) in actions { push(bytes, end) }
    return Reception(
      actions: actions, isAuthenticated: end.isAuthenticated,
      bufferedByteCount: end.bufferedByteCount, deadline: end.deadline)
  }

  /// Whether messages can be opened without waiting for a thread that seals one.
  var isFree: Bool { end.withLockIfFree { _ in } != nil }

  /// Hands the kernel what it takes, and has more sealed where there is more.
  func flush() {
    let mustSeal = outgoing.withLock { outgoing in
      flush(&outgoing)
      guard !outgoing.isClosed, !outgoing.isSealing, outgoing.unsealedByteCount > 0,
        outgoing.byteCount < WorkerLimits.sealedByteCount
      else { return false }
      outgoing.isSealing = true
      return true
    }
    if mustSeal {
      sealing.add { [self] in
        outgoing.withLock { $0.isSealing = false }
        end.withLock { seal(&$0) }
      }
    }
  }

  /// Bytes that are sealed and that the kernel has not taken yet.
  var sealedByteCount: Int { outgoing.withLock { $0.byteCount } }

  /// Bytes of everything that waits for the peer.
  var waitingByteCount: Int { outgoing.withLock { $0.byteCount + $0.unsealedByteCount } }

  var isClosed: Bool { outgoing.withLock { $0.isClosed } }

  /// It has been told why it must go; nothing it still says counts.
  var isLeaving: Bool { outgoing.withLock { $0.isLast } }

  // MARK: - Any thread

  /// The key that the peer has proved; known also when it has left.
  var keyID: KeyID? { end.withLock { $0.keyID } }

  func send(_ message: WireMessage, request: UInt64 = 0) {
    end.withLock { say(message, request: request, &$0) }
  }

  /// Says one last thing and ends the connection.
  func close(after message: WireMessage) {
    end.withLock { say(message, request: 0, &$0) }
    outgoing.withLock { outgoing in
      outgoing.isLast = true
      closeIfDone(&outgoing)
    }
    attend(self)
  }

  /// Whether a heartbeat is overdue: the process stands still, or the network between is cut.
  var isSilent: Bool { isSilent(since: 0) }

  /// How long ago the worker said anything.
  var silence: Milliseconds { SystemClock.monotonicMilliseconds - heardAt.withLock { $0 } }

  private func isSilent(since start: Milliseconds) -> Bool {
    let last = max(start, heardAt.withLock { $0 })
    return SystemClock.monotonicMilliseconds - last >= WorkerLimits.answeringSilenceMilliseconds
  }

  /// Asks and waits; `nil` if the worker left, fell silent or took too long.
  ///
  /// - Parameter isWanted: Looked at twice a second: once it says no, the question is cancelled.
  func ask(
    _ message: WireMessage, timeoutSeconds: Double, while isWanted: () -> Bool = { true }
  ) -> WireMessage? {
    let answer = Promise<WireMessage?>()
    let request = questions.withLock { questions in
      questions.last += 1
      questions.waiting[questions.last] = answer
      return questions.last
    }
    if case .predict(let view, _, _) = message {
      asked.withLock { $0[request] = Set(view.flatMap(\.artifacts)) }
    }
    defer {
      _ = questions.withLock { $0.waiting.removeValue(forKey: request) }
      _ = asked.withLock { $0.removeValue(forKey: request) }
    }
    let askedAt = SystemClock.monotonicMilliseconds
    let deadline = SystemClock.seconds + timeoutSeconds
    send(message, request: request)
    while !isClosed, !isSilent(since: askedAt) {
      let secondsLeft = deadline - SystemClock.seconds
      guard secondsLeft > 0, isWanted() else {
        // The worker may be at it still, and a purge must not wait for what nobody wants.
        send(.cancel(epoch: 0), request: request)
        break
      }
      if let answer = answer.wait(seconds: min(secondsLeft, 0.5)) { return answer }
    }
    return nil
  }

  /// Whether a question that waits is about an artifact.
  func isAsked(about artifact: Digest) -> Bool {
    asked.withLock { $0.values.contains { $0.contains(artifact) } }
  }

  /// Gives an answer to whoever asked; nobody may be waiting any more.
  func answer(_ message: WireMessage, request: UInt64) {
    questions.withLock { $0.waiting.removeValue(forKey: request) }?.fulfil(message)
  }

  /// Ends the connection and everybody's waiting for it.
  func close() {
    disconnect()
    attend(self)
  }

  /// The same, for the network thread, which has seen to the link already.
  func disconnect() {
    outgoing.withLock { close(&$0) }
    let waiting = questions.withLock { questions in
      defer { questions.waiting = [:] }
      return questions.waiting.values.map { $0 }
    }
    for promise in waiting { promise.fulfil(nil) }
  }

  // MARK: - Sending

  private func say(_ message: WireMessage, request: UInt64, _ end: inout CoordinatorEnd) {
    guard !outgoing.withLock({ $0.isLast || $0.isClosed }) else { return }
    guard waitingByteCount < WorkerLimits.sendQueueByteCount else { return close() }
    guard end.enqueue(message, request: request) else { return }
    seal(&end)
  }

  /// Seals until enough waits for the kernel.
  private func seal(_ end: inout CoordinatorEnd) {
    while sealedByteCount < WorkerLimits.sealedByteCount, let frame = end.nextFrame() {
      push(frame, end)
    }
    let waiting = end.waitingByteCount
    outgoing.withLock { $0.unsealedByteCount = waiting }
  }

  private func push(_ frame: [UInt8], _ end: CoordinatorEnd) {
    let mustAttend = outgoing.withLock { outgoing in
      guard !outgoing.isClosed else { return false }
      let wasWaiting = outgoing.byteCount > 0
      outgoing.pieces.append(frame)
      outgoing.byteCount += frame.count
      outgoing.unsealedByteCount = end.waitingByteCount
      // In order: bytes that wait already go first, when the kernel asks for them.
      if !wasWaiting { flush(&outgoing) }
      return outgoing.isClosed || !wasWaiting && outgoing.byteCount > 0
    }
    if mustAttend { attend(self) }
  }

  private func flush(_ outgoing: inout Outgoing) {
    while outgoing.sentPieces < outgoing.pieces.count, !outgoing.isClosed {
      let count = socket.send(outgoing.pieces[outgoing.sentPieces], from: outgoing.sentBytes)
      guard let count else { return close(&outgoing) }
      guard count > 0 else { return }
      outgoing.byteCount -= count
      outgoing.sentBytes += count
      if outgoing.sentBytes == outgoing.pieces[outgoing.sentPieces].count {
        // Freed at once: it may hold records.
        outgoing.pieces[outgoing.sentPieces] = []
        outgoing.sentPieces += 1
        outgoing.sentBytes = 0
      }
    }
    outgoing.pieces = []
    outgoing.sentPieces = 0
    closeIfDone(&outgoing)
  }

  private func closeIfDone(_ outgoing: inout Outgoing) {
    if outgoing.isLast, outgoing.byteCount == 0, outgoing.unsealedByteCount == 0 {
      close(&outgoing)
    }
  }

  private func close(_ outgoing: inout Outgoing) {
    outgoing = Outgoing()
    outgoing.isClosed = true
    socket.shutDown()
  }
}
