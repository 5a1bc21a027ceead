import CoordinatorCore
import Hashing
import Testing
import WireFormat

/// Both ends with a stream between them, and everything that came out.
struct Conversation {
  static let key = PeerKey(
    id: KeyID([UInt8](1...16))!, role: .worker, name: "w1", secret: [UInt8](repeating: 7, count: 32)
  )!

  var coordinator: CoordinatorEnd
  var worker: WorkerEnd
  var keys: [KeyID: PeerKey]
  var now: Milliseconds = 1000
  /// Bytes that the stream hands over at once.
  var pieceByteCount = Int.max
  var toCoordinator: [UInt8] = []
  var toWorker: [UInt8] = []
  var introduced: [Introduction] = []
  var atCoordinator: [(message: WireMessage, request: UInt64)] = []
  var atWorker: [(message: WireMessage, request: UInt64)] = []
  /// Announced to the coordinator, and more than it has a use for.
  var tooLarge: [(message: WireMessage, byteCount: Int)] = []
  var coordinatorClosed: [String] = []
  var workerClosed: [String] = []

  init(
    key: PeerKey = Self.key, known: [PeerKey]? = nil, nonce: UInt8 = 1,
    roles: Set<WorkerRole> = [.train, .serve], limits: ContentLimits = ContentLimits(),
    numericClass: String = Samples.introduction.numericClass
  ) {
    keys = Dictionary(uniqueKeysWithValues: (known ?? [key]).map { ($0.id, $0) })
    coordinator = CoordinatorEnd(
      nonce: [UInt8](repeating: nonce, count: 32),
      dummySecret: [UInt8](repeating: 99, count: 32), limits: limits, at: now)
    var introduction = Samples.introduction
    introduction.roles = roles
    introduction.numericClass = numericClass
    worker = WorkerEnd(
      key: key, introduction: introduction, nonce: [UInt8](repeating: nonce &+ 100, count: 32))
    toCoordinator = worker.begin()
  }

  /// After welcome.
  static func open(
    key: PeerKey = Self.key, nonce: UInt8 = 1, roles: Set<WorkerRole> = [.train, .serve],
    limits: ContentLimits = ContentLimits()
  ) throws -> Conversation {
    var conversation = Conversation(key: key, nonce: nonce, roles: roles, limits: limits)
    conversation.run()
    try #require(conversation.introduced.count == 1)
    conversation.say(Samples.welcome, request: 0)
    conversation.run()
    try #require(conversation.atWorker.count == 1)
    conversation.atWorker = []
    return conversation
  }

  mutating func say(_ message: WireMessage, request: UInt64) {
    if message.type.isFromWorker {
      toCoordinator += worker.send(message, request: request).joined()
    } else {
      toWorker += coordinator.send(message, request: request).joined()
    }
  }

  /// Moves bytes until both directions are empty.
  mutating func run() {
    while !toCoordinator.isEmpty || !toWorker.isEmpty {
      deliverToCoordinator()
      deliverToWorker()
    }
  }

  mutating func deliverToCoordinator() {
    let bytes = toCoordinator
    toCoordinator = []
    var position = 0
    while position < bytes.count {
      let end = position + min(pieceByteCount, bytes.count - position)
      let keys = keys
      perform(coordinator.receive(Array(bytes[position..<end]), at: now) { keys[$0] })
      position = end
    }
  }

  mutating func deliverToWorker() {
    let bytes = toWorker
    toWorker = []
    var position = 0
    while position < bytes.count {
      let end = position + min(pieceByteCount, bytes.count - position)
      for action in worker.receive(Array(bytes[position..<end])) {
        switch action {
        case .write(let bytes): toCoordinator += bytes
        case .message(let message, let request): atWorker.append((message, request))
        case .close(let reason): workerClosed.append(reason)
        }
      }
      position = end
    }
  }

  mutating func perform(_ actions: [CoordinatorEnd.Action]) {
    for action in actions {
      switch action {
      case .write(let bytes): toWorker += bytes
      case .introduced(let introduction, _): introduced.append(introduction)
      case .message(let message, let request): atCoordinator.append((message, request))
      case .tooLarge(let message, _, let byteCount): tooLarge.append((message, byteCount))
      case .close(let reason): coordinatorClosed.append(reason)
      }
    }
  }

  /// Nothing has been delivered at the coordinator but the introduction.
  var coordinatorIsUntouched: Bool { atCoordinator.isEmpty }
}
