import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

/// One message of every type.
enum Samples {
  static let digest = SHA256.hash([1])
  static let slot = BlockSlot(shard: 1, sequence: 2, stage: 3)
  static let reference = SliceReference(
    location: SliceLocation(shard: 1, slice: 2), digest: digest)
  static let messages: [WireMessage] = [
    .hello(introduction),
    .requestWork, .heartbeat(epoch: 5, StageProgress(step: 1, totalSteps: 9)),
    .fetchSlice(reference), .fetchArtifact(digest),
    .upload(
      epoch: 5, BlockKey(digest),
      TrainingWork(
        steps: 1, examples: 2, seconds: 0.5, gemmSeconds: 0.25, finalLoss: 1, slicesKept: 3,
        slicesComputed: 4),
      artifact: [1, 2, 3]),
    .failed(epoch: 5, Failure(kind: .host, reason: "r")), .forgotten(throughDeletion: 7),
    .predictions([ShardedPrediction(logits: [0.5, -1])]), .predictionFailed("no"),
    welcome,
    .head(AttestedHead(LedgerHead(size: 5, root: digest), tag: digest)),
    .turnedAway(TurnedAway(.full, "why")),
    .lease(
      LeaseGrant(
        epoch: 5,
        assignment: BlockAssignment(
          slot: slot, key: BlockKey(digest), layers: 2..<4, seed: 6, ancestors: [digest],
          slices: [reference]),
        checkpoint: StageCheckpoint(step: 8, digest: digest))),
    .checkpoint(epoch: 5, BlockKey(digest), step: 8, state: [6]),
    .fetchCheckpoint(BlockKey(digest)), .draining, .heard(epoch: 5), .notice("n"),
    .cancel(epoch: 5), .uploadAccepted(epoch: 5), .uploadRefused(epoch: 5, .staleLease),
    .slice([[1], []]), .artifact([4, 5]), .unavailable("gone"),
    .forget(throughDeletion: 7, artifacts: [digest]),
    .predict(
      [ServedPrefix(shard: 0, sequence: 1, artifacts: [digest])],
      [PredictionInput(text: "t", textPair: "p"), PredictionInput(text: "u")], .vote),
  ]

  /// Byte i is i mod 251.
  static func pattern(_ byteCount: Int) -> [UInt8] { (0..<byteCount).map { UInt8($0 % 251) } }

  static let fromWorker = messages.filter { $0.type.isFromWorker && $0.type != .hello }
  static let fromCoordinator = messages.filter { $0.type.isFromCoordinator && $0.type != .welcome }
  static let introduction = Introduction(
    name: "n", host: "h", numericClass: "c", backbone: digest, roles: [.train, .serve],
    head: AttestedHead(LedgerHead(size: 3, root: digest), tag: digest))
  static let welcome = WireMessage.welcome(
    TrainingRecipe(
      labels: ["a", "b"], targets: [.query, .value], rank: 4, alpha: 8, rankStabilized: false,
      epochs: 3, batchSize: 16, learningRate: 0.001, headLearningRate: 0.002, schedule: .linear,
      warmup: 0.1, weightDecay: 0.01, maximumGradientNorm: 1, maximumTokens: 64),
    AttestedHead(LedgerHead(size: 4, root: digest), tag: digest))
}
