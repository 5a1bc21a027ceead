import ByteCoding
import CoordinatorCore

/// The worker's end of a connection: proves its key, says hello and reads the coordinator.
///
/// A plain value without socket, clock or chance. The states are
///
/// | state       | understands                              | then                       |
/// |-------------|------------------------------------------|----------------------------|
/// | `challenge` | the coordinator's challenge              | `welcome`, saying proof and hello |
/// | `welcome`   | welcome or turned away                   | `open` or `closed`         |
/// | `open`      | a coordinator's messages but welcome     | `open`; `closed` when turned away |
/// | `closed`    | nothing                                  | `closed`                   |
///
/// Anything else closes the connection without a word.
package struct WorkerEnd: SealingEnd, Sendable {
  package enum Action: Equatable, Sendable {
    case write([UInt8])
    case message(WireMessage, request: UInt64)
    /// The connection is over; write what was to be written before this, and close.
    case close(reason: String)
  }

  private enum Phase: Sendable {
    case challenge
    case welcome
    case open
    case closed
  }

  private let key: PeerKey
  private let introduction: Introduction
  private let opening: [UInt8]
  private var phase = Phase.challenge
  private var stream = SealedStream()

  /// Why this end closed the connection on its own, or was refused before anything was proved; not
  /// set by an authenticated `turnedAway`, which is a message.
  package private(set) var refusal: TurnedAway?

  /// - Precondition: `nonce` is 32 random bytes, new for every connection.
  package init(key: PeerKey, introduction: Introduction, nonce: [UInt8]) {
    precondition(nonce.count == Handshake.nonceByteCount, "a nonce has 32 bytes")
    self.key = key
    self.introduction = introduction
    opening =
      Handshake.Opening(
        lowestVersion: Handshake.version, highestVersion: Handshake.version, keyID: key.id,
        nonce: nonce
      ).frame
  }

  /// Whether the coordinator has proved that it knows the key.
  package var isAuthenticated: Bool { stream.opener != nil }

  /// Whether the coordinator has said welcome and the connection goes on.
  package var isOpen: Bool { phase == .open }

  package var isClosed: Bool { phase == .closed }

  /// Frames that have come whole. Bytes of one that does not end say nothing about the coordinator.
  package private(set) var frameCount = 0

  /// Bytes that have arrived and wait for the rest of their frame or content.
  package var bufferedByteCount: Int { stream.bufferedByteCount }

  /// Bytes of messages that wait for `nextFrame`.
  package var waitingByteCount: Int { stream.outbox.byteCount }

  /// The first bytes to write.
  package mutating func begin() -> [UInt8] { opening }

  /// Feeds bytes as they came off the stream, however they were split.
  package mutating func receive(_ bytes: [UInt8]) -> [Action] {
    guard !isClosed, !bytes.isEmpty else { return [] }
    var actions: [Action] = []
    do throws(TurnedAway) {
      let input = stream.arrived.take(adding: bytes)
      var position = 0
      while !isClosed,
        let frame = try ReceivedFrame(in: input, at: position, isSealed: stream.opener != nil)
      {
        position += frame.bytes.count
        try handle(frame, &actions)
      }
      if !isClosed { stream.arrived.keep(input, from: position) }
    } catch {
      close()
      refusal = error
      actions.append(.close(reason: error.reason))
    }
    return actions
  }

  // MARK: - Sending

  /// Puts a message in line for `nextFrame`; heartbeats pass between others' chunks.
  ///
  /// Whether it will be sent: an unauthenticated or closed end sends nothing, nor does any end a
  /// message too large for the wire. Predictions that are become `predictionFailed`.
  package mutating func enqueue(_ message: WireMessage, request: UInt64) -> Bool {
    guard stream.sealer != nil, !isClosed else { return false }
    precondition(
      message.type.isFromWorker && message.type != .hello, "a worker does not say \(message.type)")
    return stream.outbox.enqueue(message, request: request)
  }

  /// The next sealed frame of what waits; the order of writing must be the order of these calls.
  package mutating func nextFrame() -> [UInt8]? {
    isClosed ? nil : stream.nextFrame()?.bytes
  }

  // MARK: - States

  private mutating func handle(_ frame: ReceivedFrame, _ actions: inout [Action])
    throws(TurnedAway)
  {
    let body = try stream.open(frame)
    frameCount += 1
    try admit(frame.type)
    if phase == .challenge {
      guard frame.type == .challenge else { throw refused(body) }
      return try answer(frame, body, &actions)
    }
    guard
      case .message(let message)? = try stream.contents.take(
        frame.type, request: frame.request, body: body)
    else { return }
    phase = .open
    actions.append(.message(message, request: frame.request))
    if case .turnedAway(let refusal) = message {
      close()
      actions.append(.close(reason: "turned away (\(refusal.cause)): \(refusal.reason)"))
    }
  }

  /// The one place that decides what a coordinator may say; everything passes through it.
  private func admit(_ type: FrameType) throws(TurnedAway) {
    let isExpected: Bool
    switch phase {
    case .challenge: isExpected = type == .challenge || type == .turnedAway
    case .welcome: isExpected = type == .welcome || type == .turnedAway
    case .open: isExpected = type == .chunk || type.isFromCoordinator && type != .welcome
    case .closed: isExpected = false
    }
    guard isExpected else {
      throw TurnedAway(.protocolError, "the coordinator sent an unexpected \(type) frame")
    }
  }

  private mutating func answer(
    _ frame: ReceivedFrame, _ body: ArraySlice<UInt8>, _ actions: inout [Action]
  ) throws(TurnedAway) {
    guard let challenge = try? Handshake.Challenge(body: body) else {
      throw TurnedAway(.protocolError, "the coordinator's challenge is not well formed")
    }
    guard challenge.version == Handshake.version else {
      throw TurnedAway(
        .version, "the coordinator chose version \(challenge.version), which was not offered")
    }
    let authentication = AuthenticationKey(secret: key.secret)
    guard authentication.isRight(frame.bytes, label: .coordinator, after: opening) else {
      throw TurnedAway(
        .protocolError,
        """
        the coordinator does not know the secret of key \(key.id): check that the address is the \
        coordinator's, and that the line of this key in its key file is the one in yours
        """)
    }
    var transcript = opening + frame.bytes
    let proof = Handshake.proof(key: authentication, after: transcript)
    transcript += proof
    let keys = Handshake.sessionKeys(secret: key.secret, transcript: transcript)
    var sealer = FrameSealer(key: keys.workerToCoordinator)
    stream.opener = FrameOpener(key: keys.coordinatorToWorker)
    let hello = WireMessage.hello(introduction).parts.head
    actions += [.write(proof), .write(sealer.seal(.hello, request: 0, body: hello[...]))]
    stream.sealer = sealer
    phase = .welcome
  }

  /// Nobody has proved anything yet, so this is no more than a hint for people.
  private func refused(_ body: ArraySlice<UInt8>) -> TurnedAway {
    guard case .turnedAway(let refusal)? = try? WireMessage(.turnedAway, head: body, content: [])
    else { return TurnedAway(.protocolError, "the coordinator's refusal is not well formed") }
    return TurnedAway(
      refusal.cause, "turned away before authentication (\(refusal.cause)): \(refusal.reason)")
  }

  private mutating func close() {
    phase = .closed
    stream.drop()
  }
}
