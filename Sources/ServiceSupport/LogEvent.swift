/// Everything that a log line can be about; `Protocols/logs.md` is the same list for people.
package enum LogEvent: String, CaseIterable, Sendable {
  case ready
  case runCreated = "run_created"
  case developmentMode = "development_mode"
  case listeningBeyondLoopback = "listening_beyond_loopback"
  case trainingRequested = "training_requested"
  case deletionAccepted = "deletion_accepted"
  case deletionPurged = "deletion_purged"
  case deletionRepaired = "deletion_repaired"
  case deletionCertified = "deletion_certified"
  case blockCommitted = "block_committed"
  case blockFailed = "block_failed"
  case blockQuarantined = "block_quarantined"
  case blockDisputed = "block_disputed"
  case classPinned = "class_pinned"
  case leaseGranted = "lease_granted"
  case artifactLost = "artifact_lost"
  case artifactRefused = "artifact_refused"
  case artifactUnfit = "artifact_unfit"
  case answerRefused = "answer_refused"
  case backboneUnknown = "backbone_unknown"
  case artifactNotStored = "artifact_not_stored"
  case artifactUnreadable = "artifact_unreadable"
  case groupNotStored = "group_not_stored"
  case checkpointNotStored = "checkpoint_not_stored"
  case sliceUnreadable = "slice_unreadable"
  case discardFailed = "discard_failed"
  case exportRemoved = "export_removed"
  case exportOutOfReach = "export_out_of_reach"
  case exportForgotten = "export_forgotten"
  case purgeFailed = "purge_failed"
  case backupAgain = "backup_again"
  case journalRepaired = "journal_repaired"
  case journalTailDropped = "journal_tail_dropped"
  case journalFailed = "journal_failed"
  case saltsLost = "salts_lost"
  case tombstonesHeld = "tombstones_held"
  case uncataloguedFile = "uncatalogued_file"
  case housekeepingFailed = "housekeeping_failed"
  case httpStopped = "http_stopped"
  case requestAnswered = "request_answered"
  case requestFailed = "request_failed"
  case workerJoined = "worker_joined"
  case workerLeft = "worker_left"
  case workerTurnedAway = "worker_turned_away"
  case workerCutOff = "worker_cut_off"
  case workerConnectionFailed = "worker_connection_failed"
  case keyRevoked = "key_revoked"
  case keyTurnedOut = "key_turned_out"
  case headIgnored = "head_ignored"
  case noDescriptor = "no_descriptor"
  case unexpectedMessage = "unexpected_message"
  case activations
  case connectionFailed = "connection_failed"
  case disconnected
  case unprovenRefusal = "unproven_refusal"
  case draining
  case notice
  case uploadRefused = "upload_refused"
  case webhookDelivered = "webhook_delivered"
  case webhookFailed = "webhook_failed"

  /// How much an operator should care.
  package var level: LogLevel {
    switch self {
    case .blockCommitted, .leaseGranted, .requestAnswered, .webhookDelivered:
      .debug
    case .developmentMode, .listeningBeyondLoopback, .blockFailed, .artifactLost,
      .artifactRefused, .answerRefused, .groupNotStored, .checkpointNotStored, .discardFailed,
      .journalRepaired, .workerTurnedAway, .workerCutOff, .workerConnectionFailed, .noDescriptor,
      .unexpectedMessage, .connectionFailed, .unprovenRefusal, .webhookFailed, .headIgnored:
      .warn
    case .blockQuarantined, .blockDisputed, .artifactUnfit, .artifactNotStored,
      .artifactUnreadable, .sliceUnreadable, .keyTurnedOut, .backboneUnknown, .purgeFailed,
      .exportOutOfReach, .journalFailed, .saltsLost, .uncataloguedFile, .housekeepingFailed,
      .httpStopped, .requestFailed:
      .error
    case .ready, .runCreated, .trainingRequested, .deletionAccepted, .deletionPurged,
      .deletionRepaired, .deletionCertified, .exportRemoved, .exportForgotten, .backupAgain,
      .journalTailDropped, .tombstonesHeld, .workerJoined, .workerLeft, .keyRevoked, .activations,
      .disconnected, .draining, .uploadRefused, .classPinned, .notice:
      .info
    }
  }

  /// What has happened, where a line says nothing more of it.
  package var meaning: String {
    switch self {
    case .ready: "the coordinator takes requests and workers"
    case .runCreated: "the run was made from its data"
    case .developmentMode: "every process of this machine may connect as a worker"
    case .listeningBeyondLoopback: "workers are authenticated, and nothing is encrypted"
    case .trainingRequested: "somebody asked for training or repair"
    case .deletionAccepted: "a deletion is durable and masked"
    case .deletionPurged: "the bytes of all deletions up to this one are gone"
    case .deletionRepaired: "a fresh run's blocks serve wherever a deletion reaches"
    case .deletionCertified: "a deletion is finished, its receipt final"
    case .blockCommitted: "a trained block serves from now on"
    case .blockFailed: "a worker could not train a block"
    case .blockQuarantined: "one key gave two different results; the block serves no more"
    case .blockDisputed: "two keys gave different results; the block waits for another key"
    case .classPinned: "the run is of this numeric class from now on"
    case .leaseGranted: "a worker may train a block"
    case .artifactLost: "a block's bytes were missing or changed; it is trained again"
    case .artifactRefused: "a worker handed in what is not the block that it was to train"
    case .artifactUnfit: "the bytes of a standing block are not a block of its place"
    case .answerRefused: "a worker's answer to a prediction was refused, and another is asked"
    case .backboneUnknown: "trained blocks cannot be checked, so none is taken"
    case .artifactNotStored: "a block's bytes could not be written"
    case .artifactUnreadable: "a block's bytes could not be read"
    case .groupNotStored: "blocks could not be stored together, and are stored one by one"
    case .checkpointNotStored: "a stage in the middle could not be kept"
    case .sliceUnreadable: "a slice could not be read for a worker"
    case .discardFailed: "bytes that belong to no block could not be removed"
    case .exportRemoved: "an export held a block that saw a deleted record, and is gone"
    case .exportOutOfReach: "an export that a purge has to remove could not be, and is tried again"
    case .exportForgotten: "an operator said that nothing is left of an export"
    case .purgeFailed: "a purge met an error, and is tried again"
    case .backupAgain: "the run changed while it was copied; the backup begins anew"
    case .journalRepaired: "one copy of the journal got from the other what it lacked"
    case .journalTailDropped: "an unfinished batch, never acknowledged, was dropped"
    case .journalFailed: "the journal could not be written; the coordinator ends"
    case .saltsLost: "the file salts lacks what the journal says it holds"
    case .tombstonesHeld: "records that an earlier run had deleted were not taken in"
    case .uncataloguedFile: "a file in the run's directory that nothing explains"
    case .housekeepingFailed: "looking after files or snapshots met an error"
    case .httpStopped: "no more requests can be taken; the coordinator ends"
    case .requestAnswered: "a request over HTTP had its answer"
    case .requestFailed: "a request met an error that is not the client's"
    case .workerJoined: "a worker proved its key and was welcomed"
    case .workerLeft: "a worker's connection has ended"
    case .workerTurnedAway: "a worker proved its key and may not work"
    case .workerCutOff: "a worker did not confirm a purge in time, and its connection was ended"
    case .workerConnectionFailed: "a connection to the worker port broke the protocol"
    case .keyRevoked: "a worker's key is gone, and so is its connection"
    case .keyTurnedOut: "too much that came under a key was refused; it may not work any more"
    case .headIgnored: "a worker showed a ledger head that this run did not give out"
    case .noDescriptor: "a connection was closed for want of a descriptor"
    case .unexpectedMessage: "a worker said what its connection should not let through"
    case .activations: "what a worker's kept activations saved"
    case .connectionFailed: "a worker could not reach its coordinator, and tries again"
    case .disconnected: "a worker's session has ended"
    case .unprovenRefusal: "someone who proved no key sent a worker away; it tries again"
    case .draining: "a worker finishes what it has and takes no more"
    case .notice: "the coordinator has something to say to who runs the worker"
    case .uploadRefused: "the coordinator did not take a block"
    case .webhookDelivered: "a receiver has acknowledged an event"
    case .webhookFailed: "a receiver did not take an event; it is tried again"
    }
  }
}

/// How much a line matters, ascending.
package enum LogLevel: String, CaseIterable, Comparable, Sendable {
  case debug, info, warn, error

  package static func < (left: Self, right: Self) -> Bool {
    left.order < right.order
  }

  private var order: Int { Self.allCases.firstIndex(of: self)! }
}
