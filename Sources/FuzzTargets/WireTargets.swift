import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// Frames as they come off a connection: the announced length, then the rest.
func wireFrameSeeds() -> [[UInt8]] { wireSamples.map { $0.frame(request: 42).encoded } }

func runWireFrame(_ bytes: [UInt8]) {
  let prefix = Array(bytes.prefix(Frame.lengthByteCount))
  for limit in [Frame.maximumHelloByteCount, Frame.maximumByteCount] {
    guard let count = try? Frame.byteCount(announcedBy: prefix, limit: limit) else { continue }
    demand((Frame.fixedByteCount...limit).contains(count), "a frame outside its limits")
  }
  guard bytes.count >= Frame.lengthByteCount,
    let frame = try? Frame(rest: Array(bytes.dropFirst(Frame.lengthByteCount)))
  else { return }
  demand(
    frame.encoded.dropFirst(Frame.lengthByteCount).elementsEqual(
      bytes.dropFirst(Frame.lengthByteCount)),
    "a frame that is written otherwise")
  holdToWriter(frame)
}

/// One byte for the type, the rest is the body.
func wireMessageSeeds() -> [[UInt8]] {
  wireSamples.map {
    let frame = $0.frame()
    return [frame.type] + frame.body
  }
}

func runWireMessage(_ bytes: [UInt8]) {
  guard let type = bytes.first else { return }
  holdToWriter(Frame(type: type, request: 0, body: Array(bytes.dropFirst())))
}

/// No value has two encodings, so a frame that is a message is the frame of that message.
private func holdToWriter(_ frame: Frame) {
  guard let message = try? WireMessage(frame) else { return }
  demand(message.frame(request: frame.request) == frame, "a message with two encodings")
}

private let wireSamples: [WireMessage] = {
  let digest = SHA256.hash([1])
  let slice = SliceReference(location: SliceLocation(shard: 1, slice: 2), digest: digest)
  return [
    .hello(
      Introduction(
        name: "n", host: "h", numericClass: "c", backbone: digest, roles: [.train, .serve],
        head: LedgerHead(size: 3, root: digest))),
    .requestWork, .heartbeat(epoch: 5, StageProgress(step: 1, totalSteps: 9)),
    .fetchSlice(slice), .fetchArtifact(digest),
    .upload(
      epoch: 5, BlockKey(digest),
      TrainingWork(steps: 1, examples: 2, seconds: 0.5, gemmSeconds: 0.25, finalLoss: 1),
      artifact: [1, 2, 3]),
    .failed(epoch: 5, Failure(kind: .host, reason: "r")), .forgotten(throughDeletion: 7),
    .predictions([ShardedPrediction(logits: [0.5, -1])]), .predictionFailed("no"),
    .welcome(TrainingRecipe(labels: ["a", "b"]), LedgerHead(size: 4, root: digest)),
    .head(LedgerHead(size: 5, root: digest)), .turnedAway("why"),
    .lease(
      epoch: 5,
      BlockAssignment(
        slot: BlockSlot(shard: 1, sequence: 2, stage: 3), key: BlockKey(digest), layers: 2..<4,
        seed: 6, ancestors: [digest], slices: [slice])),
    .cancel(epoch: 5), .uploadAccepted(epoch: 5), .uploadRefused(epoch: 5, .staleLease),
    .slice([[1], []]), .artifact([4, 5]), .unavailable("gone"),
    .forget(throughDeletion: 7, artifacts: [digest]),
    .predict(
      [ServedPrefix(shard: 0, sequence: 1, artifacts: [digest])],
      [PredictionInput(text: "t", textPair: "p"), PredictionInput(text: "u")]),
  ]
}()
