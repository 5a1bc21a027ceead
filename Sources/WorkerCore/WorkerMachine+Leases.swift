import CoordinatorCore
import Hashing
import Unlearning
import WireFormat

extension WorkerMachine {
  /// The lease in hand and how far it has come.
  struct HeldLease: Sendable {
    let grant: LeaseGrant
    let use: Confirmations.Use
    var phase: Phase
    var progress = StageProgress(step: 0, totalSteps: 0)

    var epoch: UInt64 { grant.epoch }

    /// The invariant of `Confirmations`: whoever is left alone by a purge's cancels has none of its
    /// records.
    var holdsOnlyRetainedRecords: Bool {
      switch phase {
      case .fetching, .training: true
      // Between two offers the coordinator has said that it did not take it: its lease stands, or
      // has been cancelled and is over.
      case .uploading(let offer): offer.nextAt != nil
      case .abandoned, .stopping: false
      }
    }
  }

  enum Phase: Sendable {
    case fetching(Supplies)
    /// Given up or cancelled; over when every answer to it has come.
    case abandoned(Failure)
    case training(CheckpointClock)
    /// Cancelled; over when the training thread says so.
    case stopping
    case uploading(Offer)
  }

  /// What has come of the things that a stage is made from.
  struct Supplies: Sendable {
    var slices: [[Record]?]
    var ancestors: [[UInt8]?]
    var checkpoint: [UInt8]?
  }

  struct CheckpointClock: Sendable {
    /// When the last one was taken, or training began.
    var since: Milliseconds
    /// The step of the last one.
    var step: UInt32 = 0
    var isUnderWay = false
  }

  /// A trained block on its way to the coordinator.
  struct Offer: Sendable {
    let work: TrainingWork
    let artifact: [UInt8]
    var sentAt: Milliseconds
    var refusalCount = 0
    /// Set while the coordinator has no room: when to offer again.
    var nextAt: Milliseconds?
    /// Its lease was cancelled while it was under way: it is not offered again.
    var isCancelled = false
  }

  mutating func take(_ grant: LeaseGrant) {
    guard grant.epoch > lastEpoch else { return }
    lastEpoch = grant.epoch
    guard awaitsLease, lease == nil, drainDeadline == nil else {
      let reason = drainDeadline == nil ? "not asked for" : "draining"
      return send(.failed(epoch: grant.epoch, Failure(kind: .cancelled, reason: reason)))
    }
    awaitsLease = false
    let assignment = grant.assignment
    let supplies = Supplies(
      slices: Array(repeating: nil, count: assignment.slices.count),
      ancestors: assignment.ancestors.map { cache[$0] })
    lease = HeldLease(grant: grant, use: confirmations.begin(), phase: .fetching(supplies))
    for (index, slice) in assignment.slices.enumerated() {
      ask(.fetchSlice(slice), for: .slice(index))
    }
    for (index, artifact) in assignment.ancestors.enumerated()
    where supplies.ancestors[index] == nil {
      ask(.fetchArtifact(artifact), for: .ancestor(index))
    }
    if grant.checkpoint != nil { ask(.fetchCheckpoint(assignment.key), for: .checkpoint) }
    beginTrainingIfSupplied()
  }

  /// Takes what was fetched for a lease, if it is what its digest names.
  mutating func supply(_ part: Fetch.Part, with message: WireMessage) {
    guard let lease, case .fetching(var supplies) = lease.phase else {
      return settleAbandonedLease()
    }
    let assignment = lease.grant.assignment
    switch (part, message) {
    case (.slice(let index), .slice(let encoded)):
      guard let records = Self.records(encoded, of: assignment.slices[index]) else {
        return abandon(.retryable, "a slice arrived with other records than its digest names")
      }
      supplies.slices[index] = records
    // The slice has changed since, so its lease is cancelled or about to be.
    case (.slice, .unavailable): return abandon(.cancelled, "cancelled")
    case (.ancestor(let index), .artifact(let bytes)):
      let digest = assignment.ancestors[index]
      guard SHA256.hash(bytes) == digest else {
        return abandon(.retryable, "an artifact arrived with other bytes than its name")
      }
      if confirmations.admits(lease.use) { cache.insert(bytes, digest) }
      supplies.ancestors[index] = bytes
    case (.ancestor, .unavailable(let reason)): return abandon(.retryable, reason)
    case (.checkpoint, .artifact(let bytes)):
      // Without it training starts at the beginning and comes to the same bits.
      if SHA256.hash(bytes) == lease.grant.checkpoint?.digest { supplies.checkpoint = bytes }
    case (.checkpoint, _): break
    default: return abandon(.retryable, "the coordinator answered something else than was asked")
    }
    self.lease?.phase = .fetching(supplies)
    beginTrainingIfSupplied()
  }

  /// A slice's records in the order of their ids, proved to be exactly those that the key names.
  private static func records(_ encoded: [[UInt8]], of slice: SliceReference) -> [Record]? {
    var records: [Record] = []
    records.reserveCapacity(encoded.count)
    for bytes in encoded {
      guard let record = try? Record(encoded: bytes) else { return nil }
      records.append(record)
    }
    records.sort { $0.id < $1.id }
    let digest = LineageDigest.slice(recordDigests: records.map(\.digest))
    return digest == slice.digest ? records : nil
  }

  private mutating func beginTrainingIfSupplied() {
    guard let lease, case .fetching(let supplies) = lease.phase, !isFetching(for: .lease) else {
      return
    }
    let slices = zip(lease.grant.assignment.slices, supplies.slices).compactMap { slice, records in
      records.map { TrainingTask.Slice(digest: slice.digest, records: $0) }
    }
    self.lease?.phase = .training(CheckpointClock(since: now))
    effects.append(
      .train(
        TrainingTask(
          epoch: lease.epoch, assignment: lease.grant.assignment, slices: slices,
          ancestors: supplies.ancestors.compactMap(\.self), checkpoint: supplies.checkpoint)))
  }

  private mutating func abandon(_ kind: Failure.Kind, _ reason: String) {
    lease?.phase = .abandoned(Failure(kind: kind, reason: reason))
    settleAbandonedLease()
  }

  /// Ends an abandoned lease, but not before every answer to it has come: it may hold records.
  private mutating func settleAbandonedLease() {
    guard let lease, case .abandoned(let failure) = lease.phase, !isFetching(for: .lease) else {
      return
    }
    finishLease(saying: .failed(epoch: lease.epoch, failure))
  }

  mutating func cancel(_ epoch: UInt64) {
    guard let lease, lease.epoch == epoch else { return }
    switch lease.phase {
    case .fetching: abandon(.cancelled, "cancelled")
    case .training:
      self.lease?.phase = .stopping
      effects.append(.stop(epoch: epoch))
    case .uploading(var offer):
      if offer.nextAt != nil { return finishLease(saying: Self.cancelled(epoch)) }
      // An upload under way will be answered.
      offer.isCancelled = true
      self.lease?.phase = .uploading(offer)
    case .abandoned, .stopping: break
    }
  }

  mutating func keepCheckpoint(epoch: UInt64, step: UInt32, _ state: [UInt8]) {
    guard let lease, lease.epoch == epoch, case .training(let clock) = lease.phase,
      clock.isUnderWay
    else { return }
    send(.checkpoint(epoch: epoch, lease.grant.assignment.key, step: step, state: state))
    self.lease?.phase = .training(CheckpointClock(since: now, step: step))
    // What comes after this step is lost to whoever goes on, so a drain goes no further.
    if drainDeadline != nil {
      giveUpLease()
      leaveIfDone()
    }
  }

  mutating func finishTraining(epoch: UInt64, _ artifact: [UInt8], _ work: TrainingWork) {
    guard let lease, lease.epoch == epoch else { return }
    switch lease.phase {
    case .training:
      self.lease?.phase = .uploading(Offer(work: work, artifact: artifact, sentAt: now))
      sendOffer()
      if drainDeadline != nil { drainDeadline = now + settings.uploadPatience }
    case .stopping: finishLease(saying: Self.cancelled(epoch))
    case .fetching, .abandoned, .uploading: break
    }
  }

  mutating func failTraining(epoch: UInt64, _ failure: Failure) {
    guard let lease, lease.epoch == epoch else { return }
    switch lease.phase {
    case .training: finishLease(saying: .failed(epoch: epoch, failure))
    case .stopping: finishLease(saying: Self.cancelled(epoch))
    case .fetching, .abandoned, .uploading: break
    }
  }

  private mutating func sendOffer() {
    guard let lease, case .uploading(let offer) = lease.phase else { return }
    send(
      .upload(
        epoch: lease.epoch, lease.grant.assignment.key, offer.work, artifact: offer.artifact))
  }

  mutating func finishUpload(epoch: UInt64, refusal: UploadRefusal?) {
    guard let lease, lease.epoch == epoch, case .uploading(var offer) = lease.phase,
      offer.nextAt == nil
    else { return }
    switch refusal {
    case .busy where offer.isCancelled: finishLease(saying: Self.cancelled(epoch))
    case .busy:
      let pause = min(
        settings.offerPause << Milliseconds(min(offer.refusalCount, 16)),
        settings.longestOfferPause)
      offer.refusalCount += 1
      offer.nextAt = now + pause + pause * Milliseconds(jitter) / 510
      self.lease?.phase = .uploading(offer)
    case nil, .staleLease, .alreadyCommitted, .invalidArtifact, .confirmed, .disputed:
      finishLease(saying: nil)
    }
  }

  /// Offers a trained block again when a busy coordinator has had its pause.
  mutating func offerAgainIfDue() {
    guard case .uploading(var offer) = lease?.phase, let due = offer.nextAt, due <= now else {
      return
    }
    offer.nextAt = nil
    offer.sentAt = now
    lease?.phase = .uploading(offer)
    sendOffer()
  }

  mutating func takeCheckpointIfDue() {
    guard let lease, case .training(var clock) = lease.phase, !clock.isUnderWay,
      now - clock.since >= settings.checkpointInterval, lease.progress.step > clock.step
    else { return }
    clock.isUnderWay = true
    self.lease?.phase = .training(clock)
    effects.append(.takeCheckpoint(epoch: lease.epoch))
  }

  private mutating func finishLease(saying message: WireMessage?) {
    guard let ended = lease else { return }
    lease = nil
    if let message { send(message) }
    end(ended.use)
    if drainDeadline == nil { askForWork() } else { leaveIfDone() }
  }

  static func cancelled(_ epoch: UInt64) -> WireMessage {
    .failed(epoch: epoch, Failure(kind: .cancelled, reason: "cancelled"))
  }
}
