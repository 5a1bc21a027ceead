import CoordinatorCore
import Hashing
import ModelFormats
import ServiceSupport
import Storage
import SystemIO
import Unlearning
import WireFormat

/// The workers that have been welcomed.
struct Membership: Sendable {
  struct Member: Sendable {
    var link: WorkerLink
    var key: KeyID
  }

  var byID: [WorkerID: Member] = [:]
}

extension CoordinatorService {
  /// What the worker port needs to know and to tell.
  func portHandlers() -> WorkerPort.Handlers {
    WorkerPort.Handlers(
      key: { [self] in find($0) },
      introduced: { [self] link, introduction, key in
        // In the lane, as it asks the loop, and what follows must wait for it.
        link.lane.add { [self] in welcome(link, introduction, key) }
      },
      message: { [self] in handle($1, request: $2, from: $0) },
      left: { [self] link in link.lane.add { [self] in depart(link) } },
      isBusy: { [loop] in loop.isBusy })
  }

  private func find(_ id: KeyID) -> PeerKey? {
    if isInDevelopment, id == PeerKey.development.id { return .development }
    return directory.keys.find(id)
  }

  /// Takes a worker that has proved to have a key, or tells it why not.
  private func welcome(_ link: WorkerLink, _ introduction: Introduction, _ key: PeerKey) {
    let head = loop.inspect { $0.state.ledger.head }
    let refusal = members.withLock { members in
      let refusal = reasonAgainst(introduction, key, memberCount: members.byID.count)
      if refusal == nil { members.byID[link.id] = Membership.Member(link: link, key: key.id) }
      return refusal
    }
    if let refusal {
      log.write(.workerTurnedAway, "\(key): \(refusal.reason)")
      return link.close(after: .turnedAway(refusal))
    }
    link.send(.welcome(recipe, head))
    loop.post(.workerJoined(link.id, introduction))
    log.write(
      .workerJoined, "\(introduction.name) joined with key \(key)",
      [.worker: Log.Value(link.id.number)])
  }

  private func reasonAgainst(
    _ introduction: Introduction, _ key: PeerKey, memberCount: Int
  ) -> TurnedAway? {
    if find(key.id) == nil { return TurnedAway(.revoked, "your key has been revoked") }
    if introduction.backbone != model {
      return TurnedAway(
        .backbone,
        "your backbone is \(introduction.backbone); this run is over \(model)"
          + (model == backbone ? "" : ", its backbone with its starting adapter"))
    }
    if let seconds = fences.secondsLeft(key.id) {
      return TurnedAway(
        .full,
        "a session of your key did not confirm a purge and was cut off; come again in \(seconds) s")
    }
    if memberCount >= limits.maximumWorkers {
      return TurnedAway(.full, "there are \(memberCount) workers already")
    }
    return nil
  }

  private func depart(_ link: WorkerLink) {
    guard members.withLock({ $0.byID.removeValue(forKey: link.id) }) != nil else { return }
    loop.post(.workerLeft(link.id))
    log.write(.workerLeft, nil, [.worker: Log.Value(link.id.number)])
  }

  /// Ends the connections of keys that are no longer there.
  func cutRevoked() {
    guard let known = try? directory.keys.ids() else { return }
    let revoked = members.withLock { members in
      members.byID.values.filter { member in
        !known.contains(member.key) && !(isInDevelopment && member.key == PeerKey.development.id)
      }
    }
    for member in revoked where !member.link.isLeaving {
      log.write(
        .keyRevoked, "the key \(member.key) is gone; its worker has to go",
        [.worker: Log.Value(member.link.id.number)])
      member.link.close(after: .turnedAway(TurnedAway(.revoked, "your key has been revoked")))
    }
  }

  /// A worker that answers predictions, a different one each time; a silent one only where there
  /// is no other.
  func servingLink(turn: Int) -> WorkerLink? {
    let serving = loop.inspect { coordinator in
      coordinator.workers.filter { $0.value.introduction.roles.contains(.serve) }.keys.sorted()
    }
    return members.withLock { members in
      let present = serving.compactMap { members.byID[$0]?.link }
      let heard = present.filter { !$0.isSilent }
      let fit = heard.isEmpty ? present : heard
      return fit.isEmpty ? nil : fit[turn % fit.count]
    }
  }

  // MARK: - Messages

  /// On the network thread: what takes long, or must come after what takes long, goes to the lane.
  private func handle(_ message: WireMessage, request: UInt64, from link: WorkerLink) {
    guard !link.isLeaving, !link.isClosed else { return }
    if let event = message.event(from: link.id) {
      if case .failed(_, let failure) = message, failure.kind != .cancelled {
        log.write(
          .blockFailed, nil, [.worker: Log.Value(link.id.number), .error: .text(failure.reason)])
      }
      // A heartbeat may pass whatever waits: a lease must not run out while an upload is stored.
      if case .heartbeat = message { return loop.post(event) }
      return inOrder(link) { [self] in loop.post(event) }
    }
    switch message {
    case .predictions, .predictionFailed: link.answer(message, request: request)
    case .fetchSlice(let reference):
      link.lane.add { [self] in sendSlice(reference, request: request, to: link) }
    case .fetchArtifact(let digest):
      link.lane.add { [self] in link.send(artifact(digest), request: request) }
    case .fetchCheckpoint(let key):
      link.lane.add { [self] in link.send(checkpoint(key, for: link.id), request: request) }
    case .upload(let epoch, let key, let work, let bytes):
      guard uploads.take(bytes.count) else {
        return link.send(.uploadRefused(epoch: epoch, .busy))
      }
      // What the worker says next must not pass its upload, which no thread waits for.
      link.lane.addHolding { [self] release in
        receive(bytes, epoch: epoch, key: key, work: work, from: link) { [uploads] in
          uploads.giveBack(bytes.count)
          release()
        }
      }
    case .checkpoint(let epoch, let key, let step, let state):
      // One that is left out costs time only where the worker is lost.
      guard uploads.take(state.count) else { return }
      link.lane.add { [self] in
        keep(state, step: step, of: key, epoch: epoch, from: link)
        uploads.giveBack(state.count)
      }
    // Said above, or let through by no connection's end.
    case .requestWork, .heartbeat, .failed, .forgotten, .draining, .hello, .welcome, .head,
      .turnedAway, .lease, .cancel, .heard, .uploadAccepted, .uploadRefused, .slice, .artifact,
      .unavailable, .forget, .predict:
      log.write(.unexpectedMessage, nil, [.worker: Log.Value(link.id.number)])
      link.close()
    }
  }

  private func inOrder(_ link: WorkerLink, _ work: @escaping @Sendable () -> Void) {
    // Only this thread gives work to the lane: an empty one stays empty meanwhile.
    if link.lane.count == 0 { work() } else { link.lane.add(work) }
  }

  private func sendSlice(_ reference: SliceReference, request: UInt64, to link: WorkerLink) {
    // Until the records have left this process's hands they count as being read.
    directory.readers.reading {
      link.send(slice(reference), request: request)
    }
  }

  private func slice(_ reference: SliceReference) -> WireMessage {
    let location = reference.location
    let changed = WireMessage.unavailable("the slice has changed since the lease was granted")
    let isKnown = loop.inspect { coordinator in
      let state = coordinator.state
      return state.slices.indices.contains(location.shard)
        && state.slices[location.shard].indices.contains(location.slice)
        && state.slices[location.shard][location.slice].digest == reference.digest
    }
    guard isKnown else { return changed }
    do {
      let records = try directory.liveRecords(location, table) {
        loop.inspect { $0.records.presence(of: location) }
      }
      // A deletion may have come in between: only what the lease names may leave.
      guard LineageDigest.slice(recordDigests: records.map(\.digest)) == reference.digest else {
        return changed
      }
      return .slice(records.map(\.encoded))
    } catch {
      log.write(
        .sliceUnreadable, nil,
        [
          .shard: Log.Value(location.shard), .slice: Log.Value(location.slice),
          .error: Log.Value(error),
        ])
      return .unavailable("the slice cannot be read")
    }
  }

  /// An artifact's bytes, if a block that can serve has them.
  func artifact(_ digest: Digest) -> WireMessage {
    let isLive = loop.inspect { $0.state.artifactUses[digest] != nil }
    guard isLive else { return .unavailable("no block has this artifact any more") }
    do {
      return .artifact(try directory.artifacts.get(digest))
    } catch {
      log.write(.artifactUnreadable, nil, [.error: Log.Value(error)])
      return .unavailable("the artifact cannot be read")
    }
  }

  /// Checks and stores trained bytes, and has the loop decide on them.
  ///
  /// - Parameter done: Called once the bytes are stored or refused, on any thread.
  private func receive(
    _ bytes: [UInt8], epoch: UInt64, key: BlockKey, work: TrainingWork, from link: WorkerLink,
    done: @escaping @Sendable () -> Void
  ) {
    do {
      let file = try SafetensorsFile(bytes)
      for tensor in file.tensors { try file.checkFinite(tensor) }
    } catch {
      defer { done() }
      link.send(.uploadRefused(epoch: epoch, .invalidArtifact))
      let reason = "the artifact is not valid: \(error)"
      log.write(
        .artifactRefused, nil, [.worker: Log.Value(link.id.number), .error: Log.Value(error)])
      return loop.post(.failed(link.id, epoch: epoch, Failure(kind: .host, reason: reason)))
    }
    let digest = SHA256.hash(bytes)
    let upload = Upload(
      epoch: epoch, key: key, artifact: digest, byteCount: UInt64(bytes.count), work: work)
    intake.store(bytes, as: digest) { [self] error in
      defer { done() }
      if let error { return notStored(digest, error, epoch: epoch, from: link) }
      storing.succeeded()
      loop.post(preparing: { [intake] in
        intake.decided(digest)
        return .uploaded(link.id, upload)
      })
    }
  }

  /// Not the worker's failure: it keeps its lease and offers the bytes again, until there is room.
  private func notStored(
    _ digest: Digest, _ error: SystemCallError, epoch: UInt64, from link: WorkerLink
  ) {
    intake.decided(digest)
    log.write(.artifactNotStored, nil, [.error: Log.Value(error)])
    storing.failed(error)
    link.send(.uploadRefused(epoch: epoch, .busy))
  }

  // MARK: - Checkpoints

  /// Stores a stage in the middle, if it comes with the lease that trains it and goes further than
  /// the one that is kept.
  private func keep(
    _ state: [UInt8], step: UInt32, of key: BlockKey, epoch: UInt64, from link: WorkerLink
  ) {
    checkpointWriters.reading {
      // Asked before the file is replaced: a late one must not take a better one's place.
      let isWanted = loop.inspect {
        $0.lease(wanting: step, of: key, epoch: epoch, from: link.id) != nil
      }
      guard isWanted else { return }
      do {
        let checkpoint = try directory.checkpoints.put(state, step: step, for: key)
        loop.post(.checkpointed(link.id, epoch: epoch, key, checkpoint))
      } catch {
        log.write(.checkpointNotStored, nil, [.error: Log.Value(error)])
      }
    }
  }

  /// The checkpoint of the stage that a worker has the lease of.
  private func checkpoint(_ key: BlockKey, for id: WorkerID) -> WireMessage {
    let isLeased = loop.inspect { $0.leases.lease(of: id)?.key == key }
    guard isLeased, let state = directory.checkpoints.get(key) else {
      return .unavailable("there is no checkpoint of this block")
    }
    return .artifact(state)
  }
}

// MARK: - Effects

extension CoordinatorService {
  /// Carries out what the loop has decided and made durable, on the loop's thread.
  func perform(_ effects: [Effect], isUsed: (Digest) -> Bool) {
    for effect in effects {
      switch effect {
      case .grant(let id, let grant):
        link(id)?.send(.lease(grant))
        let slot = grant.assignment.slot
        log.write(
          .leaseGranted, nil,
          [
            .worker: Log.Value(id.number), .block: Log.Value(grant.assignment.key),
            .shard: Log.Value(slot.shard), .sequence: Log.Value(slot.sequence),
            .stage: Log.Value(slot.stage), .attempt: Log.Value(grant.epoch),
          ])
      case .heard(let id, let epoch): link(id)?.send(.heard(epoch: epoch))
      case .cancel(let id, let epoch): link(id)?.send(.cancel(epoch: epoch))
      case .accepted(let id, let epoch): link(id)?.send(.uploadAccepted(epoch: epoch))
      case .refused(let id, let epoch, let refusal):
        link(id)?.send(.uploadRefused(epoch: epoch, refusal))
      case .forget(let id, let number, let artifacts):
        link(id)?.send(.forget(throughDeletion: number, artifacts: artifacts))
      case .deletionDecided(let token, let decision):
        decisions.withLock { $0.waiting.removeValue(forKey: token) }?.fulfil(decision)
      case .discard(let artifact):
        // Another upload of the same bytes may have become a block since, or be about to.
        guard !isUsed(artifact) else { continue }
        do {
          _ = try intake.removeUnlessArriving(artifact)
        } catch {
          log.write(.discardFailed, nil, [.error: Log.Value(error)])
        }
      case .discardCheckpoint(let key, let checkpoint):
        discards.add { [self] in
          do {
            try directory.checkpoints.discard(key, checkpoint)
          } catch {
            log.write(.discardFailed, nil, [.error: Log.Value(error)])
          }
        }
      case .purge(let order): BackgroundThread.start("purge") { [self] in purge(order) }
      case .purgeAgain(let order, let place):
        BackgroundThread.start("purge") { [self] in purge(order, place) }
      case .removeExport(let copy): remove(copy)
      case .cutOff(let id, let reason): cutOff(id, reason)
      }
    }
  }

  var currentLinks: [WorkerLink] { members.withLock { $0.byID.values.map(\.link) } }

  private func link(_ id: WorkerID) -> WorkerLink? { members.withLock { $0.byID[id]?.link } }
}
