import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// A message's type, the byte count of its head in two bytes, its head, and its content.
func wireMessageSeeds() -> [[UInt8]] {
  wireSamples.map {
    let (type, head, content) = $0.parts
    return [type.rawValue, UInt8(head.count & 0xff), UInt8(head.count >> 8)] + head + content
  }
}

func runWireMessage(_ bytes: [UInt8]) {
  guard bytes.count >= 3, let type = FrameType(rawValue: bytes[0]) else { return }
  let rest = bytes[3...]
  let head = rest.prefix(Int(bytes[1]) | Int(bytes[2]) << 8)
  let content = Array(rest[head.endIndex...])
  guard let message = try? WireMessage(type, head: head, content: content) else { return }
  let parts = message.parts
  if parts.type == type && parts.head.elementsEqual(head) && parts.content == content { return }
  // What a peer says for people loses its control characters where it is read, and stays so.
  let hasText: Set<FrameType> = [
    .hello, .failed, .predictionFailed, .turnedAway, .unavailable, .notice,
  ]
  let again = try? WireMessage(type, head: parts.head[...], content: parts.content)
  demand(hasText.contains(type) && again == message, "a message with two encodings")
}

/// Everything a worker sends over one connection, from its first byte, to the end that awaits it.
func wireWorkerStreamSeeds() -> [[UInt8]] { [conversation.toCoordinator] }

/// Whatever bytes come, nothing is delivered but what was honestly sent, in its order.
func runWireWorkerStream(_ bytes: [UInt8]) {
  var end = WireConversation.coordinatorEnd
  var delivered: [WireMessage] = []
  for action in end.receive(bytes, at: 1, key: WireConversation.lookUp) {
    if case .message(let message, _) = action { delivered.append(message) }
  }
  demand(
    conversation.fromWorker.starts(with: delivered), "a message that no worker has sent")
}

/// Everything a coordinator sends over one connection.
func wireCoordinatorStreamSeeds() -> [[UInt8]] { [conversation.toWorker] }

func runWireCoordinatorStream(_ bytes: [UInt8]) {
  var end = WireConversation.workerEnd
  _ = end.begin()
  var delivered: [WireMessage] = []
  for action in end.receive(bytes) {
    if case .message(let message, _) = action { delivered.append(message) }
  }
  demand(
    conversation.fromCoordinator.starts(with: delivered),
    "a message that no coordinator has sent")
}

/// A conversation with fixed nonces, so that its streams are valid for fresh ends again.
private struct WireConversation {
  static let key = PeerKey.development

  static func lookUp(_ id: KeyID) -> PeerKey? { id == key.id ? key : nil }

  static var coordinatorEnd: CoordinatorEnd {
    CoordinatorEnd(
      nonce: Array(repeating: 1, count: 32), dummySecret: Array(repeating: 2, count: 32), at: 0)
  }

  static var workerEnd: WorkerEnd {
    WorkerEnd(
      key: key,
      introduction: Introduction(
        name: "n", host: "h", numericClass: "c", backbone: SHA256.hash([1]),
        roles: [.train, .serve]),
      nonce: Array(repeating: 3, count: 32))
  }

  var toCoordinator: [UInt8] = []
  var toWorker: [UInt8] = []
  let fromWorker: [WireMessage]
  let fromCoordinator: [WireMessage]

  init() {
    fromWorker = wireSamples.filter { $0.type.isFromWorker && $0.type != .hello }
    let coordinatorSamples = wireSamples.filter {
      $0.type.isFromCoordinator && $0.type != .turnedAway && $0.type != .welcome
    }
    // A coordinator speaks first with its welcome.
    fromCoordinator = wireSamples.filter { $0.type == .welcome } + coordinatorSamples
    var coordinator = Self.coordinatorEnd
    var worker = Self.workerEnd
    var toCoordinator = worker.begin()
    while !toCoordinator.isEmpty {
      self.toCoordinator += toCoordinator
      var toWorker: [UInt8] = []
      for action in coordinator.receive(toCoordinator, at: 1, key: Self.lookUp) {
        if case .write(let bytes) = action { toWorker += bytes }
      }
      self.toWorker += toWorker
      toCoordinator = []
      for action in worker.receive(toWorker) {
        if case .write(let bytes) = action { toCoordinator += bytes }
      }
    }
    for (index, message) in fromCoordinator.enumerated() {
      let sent = coordinator.send(message, request: UInt64(index + 1)).flatMap { $0 }
      toWorker += sent
      _ = worker.receive(sent)
    }
    for (index, message) in fromWorker.enumerated() {
      self.toCoordinator += worker.send(message, request: UInt64(index + 1)).flatMap { $0 }
    }
  }
}

private let conversation = WireConversation()

private let wireSamples: [WireMessage] = {
  let digest = SHA256.hash([1])
  let slice = SliceReference(location: SliceLocation(shard: 1, slice: 2), digest: digest)
  return [
    .hello(
      Introduction(
        name: "n", host: "h", numericClass: "c", backbone: digest, roles: [.train, .serve],
        head: AttestedHead(LedgerHead(size: 3, root: digest), tag: digest))),
    .requestWork, .heartbeat(epoch: 5, StageProgress(step: 1, totalSteps: 9)),
    .fetchSlice(slice), .fetchArtifact(digest),
    .upload(
      epoch: 5, BlockKey(digest),
      TrainingWork(steps: 1, examples: 2, seconds: 0.5, gemmSeconds: 0.25, finalLoss: 1),
      artifact: [1, 2, 3]),
    .failed(epoch: 5, Failure(kind: .host, reason: "r")), .forgotten(throughDeletion: 7),
    .predictions([ShardedPrediction(logits: [0.5, -1])]), .predictionFailed("no"),
    .welcome(
      TrainingRecipe(labels: ["a", "b"]),
      AttestedHead(LedgerHead(size: 4, root: digest), tag: digest)),
    .head(AttestedHead(LedgerHead(size: 5, root: digest), tag: digest)),
    .turnedAway(TurnedAway(.full, "why")),
    .lease(
      LeaseGrant(
        epoch: 5,
        assignment: BlockAssignment(
          slot: BlockSlot(shard: 1, sequence: 2, stage: 3), key: BlockKey(digest), layers: 2..<4,
          seed: 6, ancestors: [digest], slices: [slice]),
        checkpoint: StageCheckpoint(step: 8, digest: digest))),
    .checkpoint(epoch: 5, BlockKey(digest), step: 8, state: [6]),
    .fetchCheckpoint(BlockKey(digest)), .draining, .heard(epoch: 5),
    .cancel(epoch: 5), .uploadAccepted(epoch: 5), .uploadRefused(epoch: 5, .staleLease),
    .slice([[1], []]), .artifact([4, 5]), .unavailable("gone"),
    .forget(throughDeletion: 7, artifacts: [digest]),
    .predict(
      [ServedPrefix(shard: 0, sequence: 1, artifacts: [digest])],
      [PredictionInput(text: "t", textPair: "p"), PredictionInput(text: "u")], .vote),
  ]
}()
