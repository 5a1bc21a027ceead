import ByteCoding
import CoordinatorCore
import Hashing
import Unlearning

/// Everything a coordinator and a worker say to each other.
///
/// Bodies, limits and who answers what stand in `Protocols/wire.md`.
package enum WireMessage: Equatable, Sendable {
  // Worker to coordinator.
  case hello(Introduction)
  case requestWork
  /// `epoch` 0 while idle.
  case heartbeat(epoch: UInt64, StageProgress)
  case fetchSlice(SliceReference)
  case fetchArtifact(Digest)
  case upload(epoch: UInt64, BlockKey, TrainingWork, artifact: [UInt8])
  case failed(epoch: UInt64, Failure)
  case forgotten(throughDeletion: UInt64)
  /// The stage in the middle, for whoever has to go on with it.
  case checkpoint(epoch: UInt64, BlockKey, step: UInt32, state: [UInt8])
  /// Asks for the bytes of a lease's checkpoint; answered like an artifact.
  case fetchCheckpoint(BlockKey)
  /// Finishes what it has and takes no more work.
  case draining
  case predictions([ShardedPrediction])
  case predictionFailed(String)

  // Coordinator to worker.
  case welcome(TrainingRecipe, AttestedHead)
  /// The ledger has grown; a worker remembers it against a coordinator that forgets.
  case head(AttestedHead)
  case turnedAway(TurnedAway)
  case lease(LeaseGrant)
  /// The answer to a heartbeat: go on.
  case heard(epoch: UInt64)
  /// A sentence for the people who run the worker; nothing follows from it.
  case notice(String)
  case cancel(epoch: UInt64)
  case uploadAccepted(epoch: UInt64)
  case uploadRefused(epoch: UInt64, UploadRefusal)
  /// Records in canonical encoding.
  case slice([[UInt8]])
  case artifact([UInt8])
  case unavailable(String)
  case forget(throughDeletion: UInt64, artifacts: [Digest])
  case predict([ServedPrefix], [PredictionInput], Aggregation)

  package var type: FrameType {
    switch self {
    case .hello: .hello
    case .requestWork: .requestWork
    case .heartbeat: .heartbeat
    case .fetchSlice: .fetchSlice
    case .fetchArtifact: .fetchArtifact
    case .upload: .upload
    case .failed: .failed
    case .forgotten: .forgotten
    case .predictions: .predictions
    case .predictionFailed: .predictionFailed
    case .checkpoint: .checkpoint
    case .fetchCheckpoint: .fetchCheckpoint
    case .draining: .draining
    case .welcome: .welcome
    case .turnedAway: .turnedAway
    case .lease: .lease
    case .cancel: .cancel
    case .uploadAccepted: .uploadAccepted
    case .uploadRefused: .uploadRefused
    case .slice: .slice
    case .artifact: .artifact
    case .unavailable: .unavailable
    case .forget: .forget
    case .predict: .predict
    case .head: .head
    case .heard: .heard
    case .notice: .notice
    }
  }
}

extension WireMessage {
  /// What the coordinator decides on where the message alone says everything; `nil` for a question,
  /// an answer and whatever comes with bytes to store first.
  package func event(from id: WorkerID) -> Event? {
    switch self {
    case .requestWork: .workRequested(id)
    case .heartbeat(let epoch, let progress): .heartbeat(id, epoch: epoch, progress)
    case .failed(let epoch, let failure): .failed(id, epoch: epoch, failure)
    case .forgotten(let number): .purgeConfirmed(id, throughDeletion: number)
    case .draining: .draining(id)
    case .hello, .fetchSlice, .fetchArtifact, .fetchCheckpoint, .upload, .checkpoint, .predictions,
      .predictionFailed, .welcome, .head, .turnedAway, .lease, .cancel, .heard, .uploadAccepted,
      .uploadRefused, .slice, .artifact, .unavailable, .forget, .predict, .notice:
      nil
    }
  }
}

/// Why a worker is not taken.
package struct TurnedAway: Error, Equatable, Sendable {
  package enum Cause: UInt8, CaseIterable, Sendable {
    /// No protocol version in common.
    case version = 1
    /// The handshake or a frame broke the protocol.
    case protocolError = 2
    /// Its key's role does not allow what it asks.
    case role = 3
    /// Its backbone is not the run's.
    case backbone = 4
    /// No room now; try again later.
    case full = 5
    /// Its key has been revoked.
    case revoked = 6
  }

  package var cause: Cause
  package var reason: String

  package init(_ cause: Cause, _ reason: String) {
    self.cause = cause
    self.reason = reason
  }
}

package struct PredictionInput: Equatable, Sendable {
  package var text: String
  package var textPair: String?

  package init(text: String, textPair: String? = nil) {
    self.text = text
    self.textPair = textPair
  }
}

/// The ensemble's answer to one text: the mean of the shards' logits, in the recipe's label order.
package struct ShardedPrediction: Equatable, Sendable {
  package var logits: [Double]

  package init(logits: [Double]) {
    self.logits = logits
  }
}
