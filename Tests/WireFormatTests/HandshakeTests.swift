import CoordinatorCore
import Hashing
import Testing
import WireFormat

@Suite("Wire: handshake") struct HandshakeTests {
  @Test("nothing but the opening is understood first", arguments: FrameType.allCases)
  func beforeOpening(type: FrameType) throws {
    guard type != .opening else { return }
    var honest = try Conversation.open(nonce: 3)
    for body in [[], [UInt8](repeating: 0, count: 32), [UInt8](repeating: 1, count: 100)] {
      var conversation = Conversation()
      conversation.toCoordinator = Tap.frame(type: type.rawValue, body: body)
      conversation.run()
      #expect(conversation.coordinatorIsUntouched && conversation.introduced.isEmpty)
      #expect(conversation.coordinatorClosed.count == 1)
      #expect(!conversation.coordinator.isAuthenticated)
    }
    // A sealed frame of somebody's session does no better.
    if type.isFromWorker, type != .hello,
      let sample = Samples.fromWorker.first(where: { $0.type == type })
    {
      var conversation = Conversation()
      conversation.toCoordinator = Array(honest.worker.send(sample, request: 9).joined())
      conversation.run()
      #expect(conversation.coordinatorIsUntouched && conversation.coordinatorClosed.count == 1)
    }
  }

  @Test("nothing but the proof is understood second", arguments: FrameType.allCases)
  func beforeProof(type: FrameType) throws {
    for body in [[], [UInt8](repeating: 0, count: 32), [UInt8](repeating: 1, count: 100)] {
      var conversation = Conversation()
      conversation.deliverToCoordinator()
      conversation.toCoordinator = Tap.frame(type: type.rawValue, body: body)
      conversation.deliverToCoordinator()
      #expect(conversation.coordinatorIsUntouched && conversation.introduced.isEmpty)
      #expect(conversation.coordinatorClosed.count == 1)
      #expect(!conversation.coordinator.isAuthenticated)
    }
  }

  @Test("nothing but hello is understood third", arguments: Samples.fromWorker)
  func beforeHello(message: WireMessage) throws {
    let (_, worker, _) = try Tap.open()
    var conversation = Conversation()
    conversation.deliverToCoordinator()
    conversation.deliverToWorker()
    let proof = try #require(Tap.frames(conversation.toCoordinator).first)
    // The same nonces and so the same keys as in the other conversation.
    var tap = Tap(key: worker.key, sequence: 0)
    let (type, head, content) = message.parts
    let body = type.content == nil ? head : head + Tap.announcement(content)
    conversation.toCoordinator = proof + tap.seal(type, request: 1, body: body)
    conversation.deliverToCoordinator()
    #expect(conversation.coordinator.isAuthenticated)
    #expect(conversation.coordinatorIsUntouched && conversation.coordinatorClosed.count == 1)
    // The refusal is sealed: the worker can believe it.
    conversation.deliverToWorker()
    guard case .turnedAway(let refusal)? = conversation.atWorker.first?.message else {
      Issue.record("the worker was not told")
      return
    }
    #expect(refusal.cause == .protocolError)
    #expect(conversation.worker.isClosed)
  }

  @Test("a worker with another secret finds out, and proves nothing")
  func wrongKey() throws {
    let key = try #require(
      PeerKey(
        id: Conversation.key.id, role: .worker, name: "w1",
        secret: [UInt8](repeating: 8, count: 32)))
    var conversation = Conversation(key: key, known: [Conversation.key])
    conversation.run()
    #expect(conversation.introduced.isEmpty && !conversation.coordinator.isAuthenticated)
    #expect(conversation.workerClosed.count == 1)
    #expect(try #require(conversation.workerClosed.first).contains(key.id.hex))
    #expect(conversation.toCoordinator.isEmpty)
  }

  @Test("an unknown key id is answered like a known one, and never let in")
  func unknownKey() throws {
    var unknown = Conversation(known: [])
    unknown.deliverToCoordinator()
    var known = Conversation()
    known.deliverToCoordinator()
    #expect(unknown.toWorker.count == known.toWorker.count)
    #expect(unknown.toWorker.prefix(55) == known.toWorker.prefix(55))
    #expect(unknown.toWorker != known.toWorker)
    known.deliverToWorker()
    unknown.toCoordinator = known.toCoordinator
    unknown.deliverToCoordinator()
    #expect(unknown.introduced.isEmpty && unknown.coordinatorClosed.count == 1)

    // Not even someone who guessed the dummy's secret gets in.
    let dummy = try #require(
      PeerKey(
        id: Conversation.key.id, role: .worker, name: "d",
        secret: [UInt8](repeating: 99, count: 32)))
    var guessed = Conversation(key: dummy, known: [])
    guessed.run()
    #expect(guessed.introduced.isEmpty && !guessed.coordinator.isAuthenticated)
  }

  @Test("the development key is a key like any other")
  func development() throws {
    let conversation = try Conversation.open(key: .development)
    #expect(conversation.coordinator.keyID == PeerKey.development.id)
  }

  @Test("a coordinator's tag sent back proves nothing, nor does a worker's")
  func reflection() throws {
    var conversation = Conversation()
    conversation.deliverToCoordinator()
    let challenge = conversation.toWorker
    conversation.toCoordinator = Tap.frame(type: 126, body: Array(challenge.suffix(32)))
    conversation.deliverToCoordinator()
    #expect(conversation.introduced.isEmpty && conversation.coordinatorClosed.count == 1)

    var mirrored = Conversation()
    let opening = mirrored.toCoordinator
    mirrored.toWorker = opening
    mirrored.deliverToWorker()
    #expect(mirrored.workerClosed.count == 1 && !mirrored.worker.isAuthenticated)
  }

  @Test("an earlier session's frames are worth nothing in another", arguments: 1...4)
  func replay(replayedCount: Int) throws {
    var first = Conversation(nonce: 1)
    var heard = first.toCoordinator
    first.deliverToCoordinator()
    first.deliverToWorker()
    heard += first.toCoordinator
    first.run()
    first.say(Samples.welcome, request: 0)
    first.run()
    first.say(.requestWork, request: 0)
    heard += first.toCoordinator
    let frames = Tap.frames(heard)
    try #require(frames.count == 4)

    var second = Conversation(nonce: 2)
    second.toCoordinator = Array(frames.prefix(replayedCount).joined())
    second.deliverToCoordinator()
    #expect(second.introduced.isEmpty && second.coordinatorIsUntouched)
    #expect(!second.coordinator.isAuthenticated)
    #expect(second.coordinatorClosed.count == (replayedCount > 1 ? 1 : 0))
  }

  @Test("an earlier coordinator's challenge does not convince a new worker")
  func replayedChallenge() {
    var first = Conversation(nonce: 1)
    first.deliverToCoordinator()
    var second = Conversation(nonce: 2)
    second.toWorker = first.toWorker
    second.deliverToWorker()
    #expect(second.workerClosed.count == 1 && !second.worker.isAuthenticated)
  }

  @Test("sealed frames of an old session end a new one, in both directions")
  func oldSession() throws {
    var old = try Conversation.open(nonce: 1)
    var new = try Conversation.open(nonce: 2)
    new.toCoordinator = Array(old.worker.send(.requestWork, request: 0).joined())
    new.deliverToCoordinator()
    #expect(new.coordinatorIsUntouched && new.coordinatorClosed.count == 1)
    new.toWorker = Array(old.coordinator.send(.cancel(epoch: 1), request: 0).joined())
    new.deliverToWorker()
    #expect(new.atWorker.isEmpty && new.workerClosed.count == 1)
  }

  @Test("frames sent back to their maker end the connection")
  func wrongDirection() throws {
    var conversation = try Conversation.open()
    conversation.toCoordinator = Array(
      conversation.coordinator.send(.cancel(epoch: 1), request: 0).joined())
    conversation.deliverToCoordinator()
    #expect(conversation.coordinatorIsUntouched && conversation.coordinatorClosed.count == 1)

    var other = try Conversation.open()
    other.toWorker = Array(other.worker.send(.requestWork, request: 0).joined())
    other.deliverToWorker()
    #expect(other.atWorker.isEmpty && other.workerClosed.count == 1)
  }

  @Test(
    "the other end's messages are refused even under the right key", arguments: Samples.messages)
  func wrongSide(message: WireMessage) throws {
    var (conversation, worker, coordinator) = try Tap.open()
    let (type, head, content) = message.parts
    let body = type.content == nil ? head : head + Tap.announcement(content)
    if type.isFromCoordinator || type == .hello {
      conversation.toCoordinator = worker.seal(type, request: 1, body: body)
      conversation.deliverToCoordinator()
      #expect(conversation.coordinatorIsUntouched && conversation.coordinatorClosed.count == 1)
    }
    if type.isFromWorker || type == .welcome {
      conversation.toWorker = coordinator.seal(type, request: 1, body: body)
      conversation.atWorker = []
      conversation.deliverToWorker()
      #expect(conversation.atWorker.isEmpty && conversation.workerClosed.count == 1)
    }
  }

  @Test("a range without version 2 is answered with this end's range")
  func noCommonVersion() throws {
    for (lowest, highest) in [(1, 1), (3, 3), (3, 65535), (0, 0)] as [(UInt16, UInt16)] {
      var conversation = Conversation()
      conversation.toCoordinator.replaceSubrange(
        29..<33, with: [lowest, highest].flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })
      conversation.run()
      #expect(conversation.coordinatorClosed.count == 1)
      let reason = try #require(conversation.workerClosed.first)
      #expect(reason.contains("versions 2 to 2"))
      #expect(conversation.atWorker.isEmpty, "nobody has proved that the coordinator said so")
    }
    var wide = Conversation()
    wide.toCoordinator.replaceSubrange(29..<33, with: [0, 0, 255, 255])
    wide.deliverToCoordinator()
    #expect(wide.coordinatorClosed.isEmpty, "a range with 1 in it goes on")
    wide.deliverToWorker()
    #expect(wide.workerClosed.count == 1, "but this worker did not offer it")
  }

  @Test("a version changed on the way is noticed")
  func downgrade() throws {
    var conversation = Conversation()
    conversation.deliverToCoordinator()
    conversation.toWorker[21] = 0
    conversation.deliverToWorker()
    #expect(conversation.workerClosed.count == 1 && conversation.toCoordinator.isEmpty)
  }

  @Test("an unsealed refusal is a hint, after authentication not even that")
  func unsealedRefusal() throws {
    var conversation = Conversation()
    conversation.toWorker = CoordinatorEnd.refusal(
      TurnedAway(.full, String(repeating: "too many ", count: 100)))
    #expect(conversation.toWorker.count <= 260)
    conversation.deliverToWorker()
    #expect(conversation.workerClosed.count == 1 && conversation.atWorker.isEmpty)

    var open = try Conversation.open()
    open.toWorker = CoordinatorEnd.refusal(TurnedAway(.revoked, "lie"))
    open.deliverToWorker()
    #expect(open.workerClosed.count == 1 && open.atWorker.isEmpty)
  }
}
