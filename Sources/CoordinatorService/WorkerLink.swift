import CoordinatorCore
import SystemIO
import WireFormat

/// One connection to the worker port, from its first byte on.
///
/// The network thread reads; whoever has something to say seals it here and sends as much as the
/// kernel takes at once. What is left waits in a queue for the network thread. A peer that lets the
/// queue fill up is cut off rather than waited for.
final class WorkerLink: Sendable {
  let id: WorkerID
  let socket: PolledSocket
  /// Keeps the order of the peer's messages while some of them wait for disks.
  let lane: WorkLanes.Lane
  /// Held while messages are opened or sealed; always taken before `outgoing`.
  private let end: Guarded<CoordinatorEnd>
  private let outgoing = Guarded(Outgoing())
  /// Asks the network thread to look at the link.
  private let attend: @Sendable (WorkerLink) -> Void
  /// Questions to the worker that wait for their answers, by request number.
  private let questions = Guarded<(last: UInt64, waiting: [UInt64: Promise<WireMessage?>])>(
    (0, [:]))

  /// Sealed bytes on their way to the peer.
  private struct Outgoing: Sendable {
    var pieces: [[UInt8]] = []
    /// Pieces and bytes of the first of them that the kernel has.
    var sentPieces = 0
    var sentBytes = 0
    var byteCount = 0
    var isClosed = false
    /// Nothing more is taken in; when all is sent, the connection ends.
    var isLast = false
  }

  init(
    id: WorkerID, _ socket: PolledSocket, _ end: CoordinatorEnd, lane: WorkLanes.Lane,
    attend: @escaping @Sendable (WorkerLink) -> Void
  ) {
    self.id = id
    self.socket = socket
    self.end = Guarded(end)
    self.lane = lane
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
    end.withLockIfFree { end in
      let actions = end.receive(bytes, at: now, key: key)
      for case .write(let bytes) in actions { enqueue([bytes]) }
      return Reception(
        actions: actions, isAuthenticated: end.isAuthenticated,
        bufferedByteCount: end.bufferedByteCount, deadline: end.deadline)
    }
  }

  /// Whether messages can be opened without waiting for a thread that seals one.
  var isFree: Bool { end.withLockIfFree { _ in } != nil }

  /// Hands the kernel what it takes.
  func flush() { outgoing.withLock { flush(&$0) } }

  var waitingByteCount: Int { outgoing.withLock { $0.byteCount } }

  var isClosed: Bool { outgoing.withLock { $0.isClosed } }

  /// It has been told why it must go; nothing it still says counts.
  var isLeaving: Bool { outgoing.withLock { $0.isLast } }

  // MARK: - Any thread

  func send(_ message: WireMessage, request: UInt64 = 0) {
    end.withLock { enqueue($0.send(message, request: request)) }
  }

  /// Says one last thing and ends the connection.
  func close(after message: WireMessage) {
    end.withLock { enqueue($0.send(message, request: 0)) }
    outgoing.withLock { outgoing in
      outgoing.isLast = true
      if outgoing.byteCount == 0 { close(&outgoing) }
    }
    attend(self)
  }

  /// Asks and waits; `nil` if the worker left or took too long.
  func ask(_ message: WireMessage, timeoutSeconds: Double) -> WireMessage? {
    let answer = Promise<WireMessage?>()
    let request = questions.withLock { questions in
      questions.last += 1
      questions.waiting[questions.last] = answer
      return questions.last
    }
    defer { _ = questions.withLock { $0.waiting.removeValue(forKey: request) } }
    send(message, request: request)
    if isClosed { return nil }
    return answer.wait(seconds: timeoutSeconds) ?? nil
  }

  /// Gives an answer to whoever asked; nobody may be waiting any more.
  func answer(_ message: WireMessage, request: UInt64) {
    questions.withLock { $0.waiting.removeValue(forKey: request) }?.fulfil(message)
  }

  /// Ends the connection and everybody's waiting for it.
  func close() {
    outgoing.withLock { close(&$0) }
    let waiting = questions.withLock { questions in
      defer { questions.waiting = [:] }
      return questions.waiting.values.map { $0 }
    }
    for promise in waiting { promise.fulfil(nil) }
    attend(self)
  }

  // MARK: - Sending

  private func enqueue(_ pieces: [[UInt8]]) {
    let mustAttend = outgoing.withLock { outgoing in
      guard !outgoing.isClosed, !outgoing.isLast else { return false }
      let wasWaiting = outgoing.byteCount > 0
      guard outgoing.byteCount < WorkerLimits.sendQueueByteCount else {
        close(&outgoing)
        return true
      }
      outgoing.pieces += pieces
      outgoing.byteCount += pieces.reduce(0) { $0 + $1.count }
      // In order: bytes that wait already go first, when the kernel asks for them.
      if !wasWaiting { flush(&outgoing) }
      return outgoing.isClosed || !wasWaiting && outgoing.byteCount > 0
    }
    if mustAttend { attend(self) }
  }

  private func flush(_ outgoing: inout Outgoing) {
    while outgoing.sentPieces < outgoing.pieces.count, !outgoing.isClosed {
      let piece = outgoing.pieces[outgoing.sentPieces]
      guard let count = socket.send(piece, from: outgoing.sentBytes) else {
        return close(&outgoing)
      }
      guard count > 0 || piece.isEmpty else { break }
      outgoing.byteCount -= count
      outgoing.sentBytes += count
      if outgoing.sentBytes == piece.count {
        // Freed at once: it may hold records.
        outgoing.pieces[outgoing.sentPieces] = []
        outgoing.sentPieces += 1
        outgoing.sentBytes = 0
      }
    }
    if outgoing.sentPieces == outgoing.pieces.count {
      outgoing.pieces = []
      outgoing.sentPieces = 0
      if outgoing.isLast { close(&outgoing) }
    }
  }

  private func close(_ outgoing: inout Outgoing) {
    outgoing = Outgoing()
    outgoing.isClosed = true
    socket.shutDown()
  }
}
