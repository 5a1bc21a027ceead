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
      key: { [self] in peerKey($0) },
      introduced: { [self] link, introduction, key in
        // In the lane, as it asks the loop, and what follows must wait for it.
        link.lane.add { [self] in welcome(link, introduction, key) }
      },
      message: { [self] in handle($1, request: $2, from: $0) },
      tooLarge: { [self] in refuse($1, request: $2, byteCount: $3, from: $0) },
      left: { [self] link in link.lane.add { [self] in depart(link) } },
      isBusy: { [loop] in loop.isBusy })
  }

  func peerKey(_ id: KeyID) -> PeerKey? {
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
    link.send(.welcome(recipe, directory.attest(head)))
    let seen = introduction.head.flatMap { directory.isOwn($0) ? $0.head : nil }
    if introduction.head != nil, seen == nil {
      log.write(
        .headIgnored, "the ledger head in its hello does not bear this run's tag",
        [.worker: Log.Value(link.id.number)])
    }
    loop.post(
      .workerJoined(link.id, introduction, PeerProof(key.id.identity, head: seen)))
    log.write(
      .workerJoined, "\(introduction.name) joined with key \(key)",
      [.worker: Log.Value(link.id.number)])
  }

  private func reasonAgainst(
    _ introduction: Introduction, _ key: PeerKey, memberCount: Int
  ) -> TurnedAway? {
    if peerKey(key.id) == nil { return TurnedAway(.revoked, "your key has been revoked") }
    if let reason = misconduct.withLock({ $0.reason(against: key.id) }) {
      return TurnedAway(.revoked, reason)
    }
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
  ///
  /// - Parameter refused: Whose answers to this question were none.
  func servingLink(turn: Int, except refused: Set<WorkerID> = []) -> WorkerLink? {
    let serving = loop.inspect { coordinator in
      coordinator.workers.filter {
        $0.value.introduction.roles.contains(.serve) && !refused.contains($0.key)
      }.keys.sorted()
    }
    return members.withLock { members in
      let present = serving.compactMap { members.byID[$0]?.link }.filter { !$0.isLeaving }
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
      // A heartbeat may pass whatever waits: a lease must not run out while an upload is stored.
      if case .heartbeat = message { return loop.post(event) }
      return inOrder(link) { [self] in loop.post(event) }
    }
    switch message {
    case .predictions, .predictionFailed: link.answer(message, request: request)
    case .fetchSlice(let reference):
      link.lane.add { [self] in sendSlice(reference, request: request, to: link) }
    case .fetchArtifact(let digest):
      link.lane.add { [self] in link.send(artifact(digest, for: link), request: request) }
    case .fetchCheckpoint(let key):
      link.lane.add { [self] in link.send(checkpoint(key, for: link.id), request: request) }
    case .upload(let epoch, let key, let work, let bytes):
      guard uploads.take(bytes.count) else {
        return link.send(.uploadRefused(epoch: epoch, .busy))
      }
      // What the worker says next must not pass its upload, which no thread waits for.
      link.lane.addHolding { [self] release in
        let upload = Arrived(bytes: bytes, epoch: epoch, request: request, key: key, work: work)
        receive(upload, from: link) { [uploads] in
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
      .unavailable, .forget, .predict, .notice:
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
      link.send(slice(reference, for: link.id), request: request)
    }
  }

  /// A slice's records, under a live lease that reads them and for its holder alone.
  private func slice(_ reference: SliceReference, for id: WorkerID) -> WireMessage {
    let location = reference.location
    let changed = WireMessage.unavailable("no lease of yours reads this slice as it is now")
    guard loop.inspect({ $0.mayRead(reference, id) }) else { return changed }
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

  /// An artifact's bytes, for whoever trains on top of it or was asked a question about it.
  private func artifact(_ digest: Digest, for link: WorkerLink) -> WireMessage {
    let isAsked = link.isAsked(about: digest)
    let isLive = loop.inspect { coordinator in
      coordinator.state.artifactUses[digest] != nil
        && (isAsked || coordinator.mayRead(artifact: digest, link.id))
    }
    return isLive
      ? stored(digest) : .unavailable("no lease or question of yours needs this artifact")
  }

  /// An artifact's bytes, if a block that can serve has them.
  func artifact(_ digest: Digest) -> WireMessage {
    let isLive = loop.inspect { $0.state.artifactUses[digest] != nil }
    return isLive ? stored(digest) : .unavailable("no block has this artifact any more")
  }

  private func stored(_ digest: Digest) -> WireMessage {
    do {
      return .artifact(try directory.artifacts.get(digest))
    } catch {
      log.write(.artifactUnreadable, nil, [.error: Log.Value(error)])
      return .unavailable("the artifact cannot be read")
    }
  }

  // MARK: - Checkpoints

  /// Stores a stage in the middle, if it comes with the lease that trains it and goes further than
  /// the one that is kept.
  private func keep(
    _ state: [UInt8], step: UInt32, of key: BlockKey, epoch: UInt64, from link: WorkerLink
  ) {
    checkpointWriters.reading {
      // Asked before the file is replaced: a late one must not take a better one's place.
      let (isWanted, isPossible) = loop.inspect {
        (
          $0.lease(wanting: step, of: key, epoch: epoch, from: link.id) != nil,
          $0.admitsCheckpoint(step: step, of: key, epoch: epoch, from: link.id)
        )
      }
      guard isWanted else { return }
      guard isPossible else {
        return note(.checkpoint, "a checkpoint after more steps than the stage has", from: link)
      }
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
      case .noted(let id, let key, let failure):
        log.write(
          .blockFailed, nil,
          [
            .worker: Log.Value(id.number), .block: Log.Value(key), .error: .text(failure.reason),
          ])
      case .tell(let id, let text): link(id)?.send(.notice(text))
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
