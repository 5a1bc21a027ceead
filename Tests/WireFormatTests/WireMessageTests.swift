import ByteCoding
import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat

@Suite("Wire messages") struct WireMessageTests {
  static let digest = SHA256.hash([1])
  static let slot = BlockSlot(shard: 1, sequence: 2, stage: 3)
  static let reference = SliceReference(
    location: SliceLocation(shard: 1, slice: 2), digest: digest)
  static let messages: [WireMessage] = [
    .hello(
      Introduction(
        name: "n", host: "h", numericClass: "c", backbone: digest, roles: [.train, .serve],
        head: LedgerHead(size: 3, root: digest))),
    .requestWork, .heartbeat(epoch: 5, StageProgress(step: 1, totalSteps: 9)),
    .fetchSlice(reference), .fetchArtifact(digest),
    .upload(
      epoch: 5, BlockKey(digest),
      TrainingWork(steps: 1, examples: 2, seconds: 0.5, gemmSeconds: 0.25, finalLoss: 1),
      artifact: [1, 2, 3]),
    .failed(epoch: 5, Failure(kind: .host, reason: "r")), .forgotten(throughDeletion: 7),
    .predictions([ShardedPrediction(logits: [0.5, -1])]), .predictionFailed("no"),
    .welcome(TrainingRecipe(labels: ["a", "b"]), LedgerHead(size: 4, root: digest)),
    .head(LedgerHead(size: 5, root: digest)), .turnedAway(TurnedAway(.full, "why")),
    .lease(
      LeaseGrant(
        epoch: 5,
        assignment: BlockAssignment(
          slot: slot, key: BlockKey(digest), layers: 2..<4, seed: 6, ancestors: [digest],
          slices: [reference]),
        checkpoint: StageCheckpoint(step: 8, digest: digest))),
    .checkpoint(epoch: 5, BlockKey(digest), step: 8, state: [6]),
    .fetchCheckpoint(BlockKey(digest)), .draining, .heard(epoch: 5),
    .cancel(epoch: 5), .uploadAccepted(epoch: 5), .uploadRefused(epoch: 5, .staleLease),
    .slice([[1], []]), .artifact([4, 5]), .unavailable("gone"),
    .forget(throughDeletion: 7, artifacts: [digest]),
    .predict(
      [ServedPrefix(shard: 0, sequence: 1, artifacts: [digest])],
      [PredictionInput(text: "t", textPair: "p"), PredictionInput(text: "u")]),
  ]

  @Test("come back as they were sent", arguments: messages)
  func roundTrip(message: WireMessage) throws {
    let bytes = message.frame(request: 42).encoded
    let count = try Frame.byteCount(
      announcedBy: Array(bytes.prefix(4)), limit: Frame.maximumByteCount)
    #expect(count == bytes.count - 4)
    let frame = try Frame(rest: Array(bytes.dropFirst(4)))
    #expect(frame.request == 42)
    #expect(try WireMessage(frame) == message)
  }

  @Test("cut or changed anywhere are refused or read as another, never a trap", arguments: messages)
  func hostile(message: WireMessage) {
    let frame = message.frame()
    for end in 0..<frame.body.count {
      let cut = Frame(type: frame.type, request: 0, body: Array(frame.body[..<end]))
      #expect(throws: DecodingFailure.self) { _ = try WireMessage(cut) }
    }
    for index in frame.body.indices {
      for value: UInt8 in [0, 0x7f, 0x80, 0xff] {
        var body = frame.body
        body[index] = value
        _ = try? WireMessage(Frame(type: frame.type, request: 0, body: body))
      }
    }
  }

  @Test("lengths outside the limits are refused before memory is spent")
  func lengths() {
    for announced: [UInt8] in [
      [0, 0, 0, 0], [8, 0, 0, 0], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0x80], [1, 0],
    ] {
      #expect(throws: DecodingFailure.self) {
        _ = try Frame.byteCount(announcedBy: announced, limit: Frame.maximumByteCount)
      }
    }
  }
}
