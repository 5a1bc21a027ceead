import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

extension WorkerMachine {
  /// Something that happened to a worker.
  package enum Event: Equatable, Sendable {
    /// A frame came that need not be a whole message.
    case heard
    case received(WireMessage, request: UInt64)
    case stepped(epoch: UInt64, StageProgress)
    /// The answer to `takeCheckpoint`: the stage after `step` steps.
    case checkpointReady(epoch: UInt64, step: UInt32, state: [UInt8])
    /// The training thread is through and keeps nothing made from records, but the artifact.
    case trained(epoch: UInt64, artifact: [UInt8], TrainingWork)
    /// The training thread has ended early and keeps nothing made from records.
    case trainingFailed(epoch: UInt64, Failure)
    /// The serving thread is through and keeps nothing that a purge could name.
    case answered(request: UInt64, [ShardedPrediction])
    case answerFailed(request: UInt64, reason: String)
    /// The process is asked to end: hand over and leave.
    case drainRequested
    case ticked
  }

  /// What the shell owes for an event.
  package enum Effect: Equatable, Sendable {
    /// The coordinator has taken this worker; from now on there may be work, by this recipe.
    case begin(TrainingRecipe)
    case send(WireMessage, request: UInt64)
    /// Train; answered by `trained` or `trainingFailed`, once, whatever comes in between.
    case train(TrainingTask)
    /// The training thread must end at its next step.
    case stop(epoch: UInt64)
    /// Answered by `checkpointReady` after the next step, unless training ends before it.
    case takeCheckpoint(epoch: UInt64)
    /// Answered by `answered` or `answerFailed`, once; one question at a time.
    case answer(AnswerTask)
    /// The serving thread must give this question up as soon as it can, with `answerFailed`.
    case stopAnswering(request: UInt64, reason: String)
    /// Drop every cached activation, and whatever was made from these artifacts, before the next
    /// effect; work that has begun puts nothing in any more.
    case forget(artifacts: [Digest])
    /// For the people who run this worker.
    case log(String)
    /// To be named in the next session's hello.
    case remember(AttestedHead)
    /// Write what was sent, then leave; all work must have ended before the next session.
    case end(EndReason)
  }

  /// Why a session is over.
  package enum EndReason: Equatable, Sendable {
    case turnedAway(TurnedAway)
    /// As it was asked to.
    case drained
    /// Nothing has come from the coordinator for too long.
    case silence
    /// The coordinator is there, but has not answered.
    case noAnswer
    case brokenProtocol(String)
  }

  /// Times and limits of a session.
  package struct Settings: Equatable, Sendable {
    package var heartbeatInterval: Milliseconds = 5_000
    /// Nothing heard for so long ends the session.
    package var silenceLimit: Milliseconds = 20_000
    /// An answer may hold records. It must not come when a purge of them has been confirmed, so one
    /// that does not come in time ends the session.
    package var answerLimit: Milliseconds = 60_000
    /// Training time between two checkpoints.
    package var checkpointInterval: Milliseconds = 10_000
    /// Before an upload is offered again to a busy coordinator; doubles up to the longest.
    package var offerPause: Milliseconds = 500
    package var longestOfferPause: Milliseconds = 8_000
    /// How long a drain waits for a last checkpoint, and for answers that are under way.
    package var drainPatience: Milliseconds = 5_000
    /// How long a drain waits for the answer to an upload.
    package var uploadPatience: Milliseconds = 20_000
    /// How long a purge waits for a question that names nothing of what it purges.
    package var questionPatience: Milliseconds = 1_000
    /// Questions that may wait.
    package var questionLimit = 256
    package var artifactByteLimit = 256 << 20
    /// Purges whose confirmation may be owed; an honest coordinator has one.
    package var owedLimit = 1024

    package init() {}
  }
}

/// A block to train, with everything it is made from.
package struct TrainingTask: Equatable, Sendable {
  /// A slice that is exactly what its digest names.
  package struct Slice: Equatable, Sendable {
    package let digest: Digest
    /// In the order of their ids.
    package let records: [Record]

    package init(digest: Digest, records: [Record]) {
      self.digest = digest
      self.records = records
    }
  }

  package let epoch: UInt64
  package let assignment: BlockAssignment
  /// In the assignment's order.
  package let slices: [Slice]
  /// Artifacts of the stages before, first stage first.
  package let ancestors: [[UInt8]]
  /// Where an earlier attempt had got to; its bytes are those the lease names.
  package let checkpoint: [UInt8]?

  package init(
    epoch: UInt64, assignment: BlockAssignment, slices: [Slice], ancestors: [[UInt8]],
    checkpoint: [UInt8]?
  ) {
    self.epoch = epoch
    self.assignment = assignment
    self.slices = slices
    self.ancestors = ancestors
    self.checkpoint = checkpoint
  }
}

/// Texts to answer, with every artifact that the view names.
package struct AnswerTask: Equatable, Sendable {
  package let request: UInt64
  package let view: [ServedPrefix]
  package let inputs: [PredictionInput]
  package let aggregation: Aggregation
  package let artifacts: [Digest: [UInt8]]

  package init(
    request: UInt64, view: [ServedPrefix], inputs: [PredictionInput], aggregation: Aggregation,
    artifacts: [Digest: [UInt8]]
  ) {
    self.request = request
    self.view = view
    self.inputs = inputs
    self.aggregation = aggregation
    self.artifacts = artifacts
  }
}
