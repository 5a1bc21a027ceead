import ByteCoding
import CoordinatorCore

/// The coordinator's end of one connection: bytes in, messages out, and nothing believed unproved.
///
/// A plain value without socket, clock or chance: nonces and times are handed in. The states are
///
/// | state       | understands                               | then          |
/// |-------------|-------------------------------------------|---------------|
/// | `opening`   | the opening                               | `proof`       |
/// | `proof`     | the proof                                 | `hello`       |
/// | `hello`     | hello, from a key that may join           | `open`        |
/// | `open`      | a worker's messages that its key allows   | `open`        |
/// | `closed`    | nothing                                   | `closed`      |
///
/// Whatever else comes is answered by turning the worker away and leads to `closed`.
package struct CoordinatorEnd: SealingEnd, Sendable {
  package enum Action: Equatable, Sendable {
    case write([UInt8])
    /// The worker has proved its key and said hello; answer with welcome or turned away.
    case introduced(Introduction, PeerKey)
    case message(WireMessage, request: UInt64)
    /// A message announces a content larger than this run has a use for; it stands here without it,
    /// and what follows of it is let pass.
    case tooLarge(WireMessage, request: UInt64, byteCount: Int)
    /// The connection is over; write what was to be written before this, and close.
    case close(reason: String)
  }

  private enum Phase: Sendable {
    case opening
    /// `key` is none for an unknown key id, whose worker is led on with a dummy's tag.
    case proof(key: PeerKey?, AuthenticationKey, transcript: [UInt8])
    case hello
    case open
    case closed
  }

  /// From connecting to hello, however the bytes trickle in.
  package static let handshakeMilliseconds: Milliseconds = 5000
  /// From a frame's first byte to its last.
  package static let frameMilliseconds: Milliseconds = 30_000
  /// What a frame may be behind the least rate.
  package static let frameGraceMilliseconds: Milliseconds = 5000
  package static let leastBytesPerSecond: Milliseconds = 16 << 10
  /// From one arrival to the next.
  package static let idleMilliseconds: Milliseconds = 60_000

  private let nonce: [UInt8]
  private let dummySecret: [UInt8]
  private let startedAt: Milliseconds
  private var heardAt: Milliseconds
  private var frameBeganAt: Milliseconds?
  private var phase = Phase.opening
  private var key: PeerKey?
  private var stream: SealedStream

  /// - Precondition: `nonce` and `dummySecret` are 32 random bytes each that nobody else has seen;
  ///   the nonce is new for every connection.
  package init(
    nonce: [UInt8], dummySecret: [UInt8], limits: ContentLimits = ContentLimits(),
    at now: Milliseconds
  ) {
    precondition(nonce.count == Handshake.nonceByteCount, "a nonce has 32 bytes")
    precondition(dummySecret.count == PeerKey.secretByteCount, "a secret has 32 bytes")
    self.nonce = nonce
    self.dummySecret = dummySecret
    startedAt = now
    heardAt = now
    stream = SealedStream(limits: limits)
  }

  /// Whether the worker has proved its key; stays so after the connection has ended.
  package var isAuthenticated: Bool { key != nil }

  /// The key the worker has proved to hold.
  package var keyID: KeyID? { key?.id }

  /// Whether hello has come and the connection goes on.
  package var isOpen: Bool {
    if case .open = phase { true } else { false }
  }

  package var isClosed: Bool {
    if case .closed = phase { true } else { false }
  }

  /// Bytes that have arrived and wait for the rest of their frame or content.
  package var bufferedByteCount: Int { stream.bufferedByteCount }

  /// Bytes of messages that wait for `nextFrame`.
  package var waitingByteCount: Int { stream.outbox.byteCount }

  /// When the shell must call `expire` if nothing more arrives.
  package var deadline: Milliseconds {
    guard isOpen || isClosed else { return startedAt + Self.handshakeMilliseconds }
    guard let frameBeganAt else { return heardAt + Self.idleMilliseconds }
    let earned = Milliseconds(stream.arrived.count) * 1000 / Self.leastBytesPerSecond
    return frameBeganAt + min(Self.frameMilliseconds, Self.frameGraceMilliseconds + earned)
  }

  /// Ends a connection whose deadline has passed; nothing happens before.
  package mutating func expire(at now: Milliseconds) -> [Action] {
    guard !isClosed, now > deadline else { return [] }
    return turnAway(
      TurnedAway(.protocolError, isOpen ? "nothing more arrived" : "the handshake took too long"))
  }

  /// Feeds bytes as they came off the stream, however they were split.
  package mutating func receive(
    _ bytes: [UInt8], at now: Milliseconds, key lookUp: (KeyID) -> PeerKey?
  ) -> [Action] {
    guard !isClosed, !bytes.isEmpty else { return [] }
    var actions: [Action] = []
    do throws(TurnedAway) {
      guard isOpen || now <= deadline else {
        throw TurnedAway(.protocolError, "the handshake took too long")
      }
      heardAt = max(heardAt, now)
      let input = stream.arrived.take(adding: bytes)
      var position = 0
      while let frame = try ReceivedFrame(in: input, at: position, isSealed: stream.opener != nil) {
        position += frame.bytes.count
        try handle(frame, lookUp, &actions)
      }
      stream.arrived.keep(input, from: position)
      if stream.arrived.count == 0 {
        frameBeganAt = nil
      } else if position > 0 || frameBeganAt == nil {
        frameBeganAt = heardAt
      }
    } catch {
      actions += turnAway(error)
    }
    return actions
  }

  // MARK: - Sending

  /// Puts a message in line for `nextFrame`; heartbeats' answers pass between others' chunks.
  ///
  /// Whether it will be sent: an unauthenticated or closed end sends nothing, nor does any end a
  /// message too large for the wire. A slice or artifact that is becomes `unavailable`.
  package mutating func enqueue(_ message: WireMessage, request: UInt64) -> Bool {
    guard stream.sealer != nil, !isClosed else { return false }
    precondition(message.type.isFromCoordinator, "a coordinator does not say \(message.type)")
    return stream.outbox.enqueue(message, request: request)
  }

  /// The next sealed frame of what waits; the order of writing must be the order of these calls.
  package mutating func nextFrame() -> [UInt8]? {
    guard !isClosed, let (type, bytes) = stream.nextFrame() else { return nil }
    if type == .turnedAway { close() }
    return bytes
  }

  /// Turns a connection away before anything was heard, as when there are too many.
  package static func refusal(_ refusal: TurnedAway) -> [UInt8] { FrameBytes.unsealed(refusal) }

  // MARK: - States

  private mutating func handle(
    _ frame: ReceivedFrame, _ lookUp: (KeyID) -> PeerKey?, _ actions: inout [Action]
  ) throws(TurnedAway) {
    let body = try stream.open(frame)
    try admit(frame.type)
    switch phase {
    case .opening: actions.append(.write(try challenge(frame, body, lookUp)))
    case .proof(let key, let authentication, let transcript):
      try check(frame, key, authentication, after: transcript)
    case .hello, .open:
      switch try stream.contents.take(frame.type, request: frame.request, body: body) {
      case nil: break
      case .message(.hello(let introduction))?:
        guard let key else { return }
        try admit(introduction, key)
        phase = .open
        actions.append(.introduced(introduction, key))
      case .message(let message)?:
        actions.append(.message(message, request: frame.request))
      case .tooLarge(let message, let byteCount)?:
        actions.append(.tooLarge(message, request: frame.request, byteCount: byteCount))
      }
    case .closed: break
    }
  }

  /// The one place that decides what a connection may say; everything passes through it.
  private func admit(_ type: FrameType) throws(TurnedAway) {
    let isExpected: Bool
    switch phase {
    case .opening: isExpected = type == .opening
    case .proof: isExpected = type == .proof
    case .hello: isExpected = type == .hello
    case .open: isExpected = type == .chunk || type.isFromWorker && type != .hello
    case .closed: isExpected = false
    }
    guard isExpected else {
      throw TurnedAway(.protocolError, "a \(type) frame is not expected here")
    }
    guard let key else { return }
    guard type.isAllowed(to: key.role) else {
      throw TurnedAway(.role, "a key of role \(key.role.rawValue) does not allow \(type)")
    }
  }

  private func admit(_ introduction: Introduction, _ key: PeerKey) throws(TurnedAway) {
    guard key.role == .worker || introduction.roles == [.serve] else {
      throw TurnedAway(.role, "a key of role \(key.role.rawValue) may only serve")
    }
  }

  private mutating func challenge(
    _ frame: ReceivedFrame, _ body: ArraySlice<UInt8>, _ lookUp: (KeyID) -> PeerKey?
  ) throws(TurnedAway) -> [UInt8] {
    let opening: Handshake.Opening
    do throws(DecodingFailure) {
      opening = try Handshake.Opening(body: body)
    } catch {
      throw TurnedAway(.protocolError, "this is a Lethe coordinator's port for workers: \(error)")
    }
    let version = Handshake.version
    guard (opening.lowestVersion...opening.highestVersion).contains(version) else {
      throw TurnedAway(
        .version, "this coordinator speaks Lethe wire versions \(version) to \(version)")
    }
    let key = lookUp(opening.keyID)
    let authentication = AuthenticationKey(secret: key?.secret ?? dummySecret)
    let challenge = Handshake.challenge(
      version: version, nonce: nonce, key: authentication, after: Array(frame.bytes))
    phase = .proof(key: key, authentication, transcript: Array(frame.bytes) + challenge)
    return challenge
  }

  private mutating func check(
    _ frame: ReceivedFrame, _ key: PeerKey?, _ authentication: AuthenticationKey,
    after transcript: [UInt8]
  ) throws(TurnedAway) {
    // Compared for an unknown key as well, so that both take the same time.
    let isRight =
      frame.body.count == WireLimits.tagByteCount
      && authentication.isRight(frame.bytes, label: .worker, after: transcript)
    guard isRight, let key else { throw TurnedAway(.protocolError, "the key was not proved") }
    let keys = Handshake.sessionKeys(secret: key.secret, transcript: transcript + frame.bytes)
    stream.opener = FrameOpener(key: keys.workerToCoordinator)
    stream.sealer = FrameSealer(key: keys.coordinatorToWorker)
    self.key = key
    phase = .hello
  }

  private mutating func turnAway(_ refusal: TurnedAway) -> [Action] {
    let bytes =
      stream.sealer?.seal(
        .turnedAway, request: 0, body: WireMessage.turnedAway(refusal).parts.head[...])
      ?? FrameBytes.unsealed(refusal)
    close()
    return [.write(bytes), .close(reason: "\(refusal.cause): \(refusal.reason)")]
  }

  private mutating func close() {
    phase = .closed
    stream.drop()
    frameBeganAt = nil
  }
}
