import CoordinatorCore
import Hashing
import ServiceSupport
import Storage
import SystemIO
import Unlearning
import WireFormat

/// Trained bytes that have come whole, with what was said of them.
struct Arrived: Sendable {
  let bytes: [UInt8]
  let epoch: UInt64
  let request: UInt64
  let key: BlockKey
  let work: TrainingWork
}

extension CoordinatorService {
  /// Judges and stores trained bytes, and has the loop decide on them.
  ///
  /// No thread waits for the loop: it is asked what the block must be, and the rest goes on from
  /// its answer.
  ///
  /// - Parameter done: Called once the bytes are stored or refused, on any thread.
  func receive(
    _ upload: Arrived, from link: WorkerLink, done: @escaping @Sendable () -> Void
  ) {
    loop.ask { view in
      view.coordinator.demand(ofUpload: upload.key, epoch: upload.epoch, from: link.id)
    } then: { [self] demand in
      lanes.makeLane().add { [self] in judge(upload, demand, from: link, done: done) }
    }
  }

  private func judge(
    _ upload: Arrived, _ demand: BlockDemand?, from link: WorkerLink,
    done: @escaping @Sendable () -> Void
  ) {
    guard let demand, !demand.isEmpty || demand.parent != nil || demand.slot.parent == nil else {
      loop.post(.uploadedTooLate(link.id, epoch: upload.epoch))
      return done()
    }
    guard let gate else {
      // The fault is here, not the worker's: it offers the block again when that is mended.
      link.send(.uploadRefused(epoch: upload.epoch, .busy))
      return done()
    }
    let parent: [UInt8]?
    do {
      parent = try demand.isEmpty ? demand.parent.map { try directory.artifacts.get($0) } : nil
    } catch {
      log.write(.artifactUnreadable, nil, [.error: Log.Value(error)])
      giveUp(upload, "the coordinator could not read the block before it", from: link)
      return done()
    }
    do throws(UploadGate.Problem) {
      try gate.check(upload.bytes, upload.work, demand, parent: parent)
    } catch {
      refuse(
        error.kind, "\(error)", epoch: upload.epoch, request: upload.request, from: link)
      return done()
    }
    store(upload, from: link, done: done)
  }

  private func store(
    _ arrived: Arrived, from link: WorkerLink, done: @escaping @Sendable () -> Void
  ) {
    let digest = SHA256.hash(arrived.bytes)
    let upload = Upload(
      epoch: arrived.epoch, key: arrived.key, artifact: digest,
      byteCount: UInt64(arrived.bytes.count), work: arrived.work)
    intake.store(arrived.bytes, as: digest) { [self] error in
      defer { done() }
      if let error {
        intake.decided(digest)
        log.write(.artifactNotStored, nil, [.error: Log.Value(error)])
        // Not the worker's failure: it keeps its lease and offers the bytes until there is room.
        storing.failed(error)
        return link.send(.uploadRefused(epoch: arrived.epoch, .busy))
      }
      storing.succeeded()
      loop.post(preparing: { [intake] in
        intake.decided(digest)
        return .uploaded(link.id, upload)
      })
    }
  }

  /// Ends a lease whose block this coordinator could not take, through no fault of the worker's.
  private func giveUp(_ upload: Arrived, _ reason: String, from link: WorkerLink) {
    link.send(.uploadRefused(epoch: upload.epoch, .staleLease))
    loop.post(
      .failed(link.id, epoch: upload.epoch, Failure(kind: .retryable, reason: reason)))
  }
}
