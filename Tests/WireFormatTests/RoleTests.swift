import CoordinatorCore
import Hashing
import Testing
import WireFormat

@Suite("Wire: keys and roles") struct RoleTests {
  static func key(_ role: KeyRole) -> PeerKey {
    PeerKey(
      id: Conversation.key.id, role: role, name: "k", secret: [UInt8](repeating: 3, count: 32))!
  }

  struct Hello {
    let role: KeyRole
    let roles: Set<WorkerRole>
    let isTaken: Bool
  }

  static let hellos = [
    Hello(role: .worker, roles: [.train, .serve], isTaken: true),
    Hello(role: .worker, roles: [.train], isTaken: true),
    Hello(role: .worker, roles: [.serve], isTaken: true),
    Hello(role: .serve, roles: [.serve], isTaken: true),
    Hello(role: .serve, roles: [.train, .serve], isTaken: false),
    Hello(role: .serve, roles: [.train], isTaken: false),
    Hello(role: .serve, roles: [], isTaken: false),
    Hello(role: .operator, roles: [.train, .serve], isTaken: false),
    Hello(role: .operator, roles: [.serve], isTaken: false),
    Hello(role: .reader, roles: [.serve], isTaken: false),
  ]

  @Test("decide who may join", arguments: hellos)
  func hello(_ row: Hello) {
    var conversation = Conversation(key: Self.key(row.role), roles: row.roles)
    conversation.run()
    #expect(conversation.coordinator.isAuthenticated)
    #expect(conversation.introduced.count == (row.isTaken ? 1 : 0))
    if !row.isTaken {
      guard case .turnedAway(let refusal)? = conversation.atWorker.first?.message else {
        Issue.record("not turned away")
        return
      }
      #expect(refusal.cause == .role)
      #expect(conversation.coordinatorClosed.count == 1 && conversation.workerClosed.count == 1)
    }
  }

  @Test("decide what may be said", arguments: Samples.fromWorker)
  func messages(message: WireMessage) throws {
    let forbidden: Set<FrameType> = [
      .requestWork, .upload, .checkpoint, .fetchCheckpoint, .fetchSlice, .failed,
    ]
    var worker = try Conversation.open(key: Self.key(.worker))
    worker.say(message, request: 1)
    worker.run()
    #expect(worker.atCoordinator.map(\.message) == [message])

    var serve = try Conversation.open(key: Self.key(.serve), roles: [.serve])
    serve.say(message, request: 1)
    serve.run()
    if forbidden.contains(message.type) {
      #expect(serve.coordinatorIsUntouched && serve.coordinatorClosed.count == 1)
      #expect(serve.coordinator.bufferedByteCount == 0)
      guard case .turnedAway(let refusal)? = serve.atWorker.first?.message else {
        Issue.record("not turned away")
        return
      }
      #expect(refusal.cause == .role)
    } else {
      #expect(serve.atCoordinator.map(\.message) == [message])
    }
  }

  @Test("lines come back as they were written")
  func lines() throws {
    for key in [Conversation.key, .development] + KeyRole.allCases.map(Self.key) {
      #expect(PeerKey(line: key.line) == key)
      #expect(PeerKey(line: String(key.line.dropLast())) == key)
      #expect(key.line.last == "\n")
      #expect(!"\(key) \(String(reflecting: key))".contains(key.secret.hex))
      var dumped = ""
      dump(key, to: &dumped)
      #expect(!dumped.contains("secret"))
    }
    #expect(
      Conversation.key.line
        == "lethe-key-1 0102030405060708090a0b0c0d0e0f10 worker w1 "
        + String(repeating: "07", count: 32) + "\n")
  }

  @Test("lines that are none are refused")
  func badLines() {
    let id = String(repeating: "0a", count: 16)
    let secret = String(repeating: "0b", count: 32)
    for (line, because) in [
      ("", "empty"), ("lethe-key-1", "one word"),
      ("lethe-key-2 \(id) worker a \(secret)", "another format"),
      ("lethe-key-1 \(id) worker a \(secret) ", "a space behind"),
      (" lethe-key-1 \(id) worker a \(secret)", "a space before"),
      ("lethe-key-1  \(id) worker a \(secret)", "two spaces"),
      ("lethe-key-1 \(id) owner a \(secret)", "no such role"),
      ("lethe-key-1 \(id) worker a/b \(secret)", "a name with a slash"),
      ("lethe-key-1 \(id) worker  \(secret)", "no name"),
      ("lethe-key-1 \(id) worker é \(secret)", "a letter that is not ASCII"),
      ("lethe-key-1 \(id) worker \(String(repeating: "a", count: 65)) \(secret)", "a long name"),
      ("lethe-key-1 \(id)0a worker a \(secret)", "a long id"),
      ("lethe-key-1 \(id.dropLast()) worker a \(secret)", "an id cut"),
      ("lethe-key-1 \(id) worker a \(secret.dropLast(2))", "a secret cut"),
      ("lethe-key-1 \(id) worker a \(secret)\n\n", "a line more"),
      ("lethe-key-1 \(id) worker a \(secret)\r\r\n", "a carriage return more"),
    ] {
      #expect(PeerKey(line: line) == nil, "\(because)")
    }
    let good = "lethe-key-1 \(id) worker a \(secret)"
    for line in [good, "\(good)\n", "\(good)\r\n", "\u{feff}\(good)\n"] {
      #expect(PeerKey(line: line)?.name == "a", "as an editor may have left it")
    }
  }

  @Test("ids are ordered as their bytes")
  func ids() throws {
    let ids = try [
      "00000000000000000000000000000001", "00000000000000ff0000000000000000",
      "ff000000000000000000000000000000",
    ].map { try #require(KeyID(hex: $0)) }
    #expect(ids == ids.reversed().sorted())
    for id in ids { #expect(KeyID(id.bytes) == id && KeyID(hex: id.hex) == id) }
    #expect(KeyID([1, 2]) == nil && KeyID(hex: "00") == nil)
  }
}
