import CoordinatorCore
import ServiceSupport
import SystemIO
import WireFormat

/// Where workers connect: one thread that accepts, reads and writes for all of them.
///
/// It opens frames and hands messages on; it never touches a file and never waits for one peer.
/// Who is let in, and what a message means, is the service's business.
final class WorkerPort: Sendable {
  /// What the service wants to hear, all on the network thread.
  struct Handlers: Sendable {
    var key: @Sendable (KeyID) -> PeerKey?
    var introduced: @Sendable (WorkerLink, Introduction, PeerKey) -> Void
    var message: @Sendable (WorkerLink, WireMessage, _ request: UInt64) -> Void
    /// Its content has only been announced, and is larger than any of the run's.
    var tooLarge: @Sendable (WorkerLink, WireMessage, _ request: UInt64, _ byteCount: Int) -> Void
    /// The connection of somebody with a key has ended; nothing more comes from it.
    var left: @Sendable (WorkerLink) -> Void
    /// Whether so much waits to be decided that nothing more should come in.
    var isBusy: @Sendable () -> Bool
  }

  private let listener: TCPListener
  private let limits: WorkerLimits
  private let handlers: Handlers
  private let log: Log
  private let lanes: WorkLanes
  private let wakeUp: WakeUp
  private let attention = Guarded<[WorkerLink]>([])
  /// Stands in for the secret of an unknown key, so that a stranger learns nothing from the answer.
  private let dummySecret = SystemRandom.bytes(count: PeerKey.secretByteCount)
  private let uploads: UploadBudget

  init(
    _ listener: TCPListener, _ limits: WorkerLimits, _ lanes: WorkLanes, _ uploads: UploadBudget,
    log: Log, handlers: Handlers
  ) throws(SystemCallError) {
    self.listener = listener
    self.limits = limits
    self.lanes = lanes
    self.uploads = uploads
    self.log = log
    self.handlers = handlers
    wakeUp = try WakeUp()
  }

  /// Serves until the process ends.
  func run() throws {
    listener.makeNonblocking()
    var peers = PeerTable()
    peers.poll.append(listener)
    peers.poll.append(wakeUp)
    var buffer = [UInt8](repeating: 0, count: WorkerLimits.readByteCount)
    var lastLook = SystemClock.monotonicMilliseconds
    while true {
      peers.poll.wait(milliseconds: peers.pausedCount > 0 || peers.isCrowded ? 10 : 250)
      let now = SystemClock.monotonicMilliseconds
      wakeUp.clear()
      for link in attention.withLock({ Self.takeAll(&$0) }) { peers.attend(link, at: now) }
      // From the last on: removing one moves only links that have had their turn.
      for index in peers.indices.reversed() where peers.poll.isReady(index) {
        serve(index, of: &peers, &buffer, at: now)
      }
      if now - lastLook >= (peers.pausedCount > 0 ? 10 : 250) {
        lastLook = now
        look(at: &peers, at: now)
      }
      if peers.poll.canRead(PeerTable.listenerIndex) || peers.isCrowded {
        try accept(into: &peers, at: now)
      }
    }
  }

  private static func takeAll(_ links: inout [WorkerLink]) -> [WorkerLink] {
    defer { links = [] }
    return links
  }

  // MARK: - Arrivals

  private func accept(into peers: inout PeerTable, at now: Milliseconds) throws {
    peers.isCrowded = false
    // A crowd must not keep those who are in from being served: the rest waits for the next turn.
    for _ in 0..<WorkerLimits.arrivalsInOneTurn {
      if peers.strangers.count >= WorkerLimits.unauthenticatedConnections {
        let oldest = peers[peers.index(of: peers.strangers[0])]
        guard oldest.arrivedAt + WorkerLimits.undisturbedMilliseconds <= now else {
          peers.isCrowded = true
          return
        }
      }
      switch try listener.acceptNow() {
      case .nobody: return
      case .turnedAway: log.write(.noDescriptor)
      case .connection(let socket): admit(socket, to: &peers, at: now)
      }
    }
  }

  private func admit(_ socket: PolledSocket, to peers: inout PeerTable, at now: Milliseconds) {
    if let link = crowdedOut(by: socket.peer, of: peers.strangers) {
      remove(peers.index(of: link), from: &peers)
    }
    guard peers.count < limits.maximumConnections else {
      let refusal = TurnedAway(.full, "there are \(peers.count) connections already")
      _ = socket.send(CoordinatorEnd.refusal(refusal), from: 0)
      return socket.shutDown()
    }
    let end = CoordinatorEnd(
      nonce: SystemRandom.bytes(count: Handshake.nonceByteCount), dummySecret: dummySecret,
      limits: limits.contents, at: now)
    let link = WorkerLink(
      id: peers.nextID(), socket, end, lanes: lanes,
      attend: { [weak self] in self?.attend($0) })
    peers.insert(PeerTable.Peer(link: link, arrivedAt: now, deadline: end.deadline))
  }

  /// The stranger that must go to make room for one more from an address.
  private func crowdedOut(by peer: PeerAddress, of strangers: [WorkerLink]) -> WorkerLink? {
    if !peer.isLoopback {
      let neighbours = strangers.filter { $0.socket.peer == peer }
      if neighbours.count >= WorkerLimits.unauthenticatedPerAddress { return neighbours[0] }
    }
    return strangers.count >= WorkerLimits.unauthenticatedConnections ? strangers[0] : nil
  }

  private func attend(_ link: WorkerLink) {
    let isFirst = attention.withLock { links in
      links.append(link)
      return links.count == 1
    }
    if isFirst { wakeUp.wake() }
  }

  // MARK: - Conversations

  private func serve(
    _ index: Int, of peers: inout PeerTable, _ buffer: inout [UInt8], at now: Milliseconds
  ) {
    let link = peers[index].link
    if peers.poll.canWrite(index) {
      link.flush()
      peers.refreshInterest(index)
    }
    if link.isClosed { return remove(index, from: &peers) }
    if peers.poll.canRead(index) {
      guard link.isFree else { return peers.pause(index) }
      switch link.socket.receive(into: &buffer) {
      case .nothing: break
      case .end: return remove(index, from: &peers)
      case .bytes(let count):
        take(Array(buffer[..<count]), index, of: &peers, at: now)
      }
    } else if peers.poll.hasFailed(index) {
      remove(index, from: &peers)
    }
  }

  private func take(
    _ bytes: [UInt8], _ index: Int, of peers: inout PeerTable, at now: Milliseconds
  ) {
    let link = peers[index].link
    var reception = link.receive(bytes, at: now, key: handlers.key)
    while reception == nil {
      // Somebody began to seal since the link was found free: rare, and over soon.
      SystemClock.sleep(seconds: 0.001)
      reception = link.receive(bytes, at: now, key: handlers.key)
    }
    guard let reception else { return }
    act(on: reception, index, of: &peers)
  }

  private func act(on reception: WorkerLink.Reception, _ index: Int, of peers: inout PeerTable) {
    let link = peers[index].link
    if reception.isAuthenticated { peers.authenticate(index) }
    peers[index].deadline = reception.deadline
    peers.note(bufferedByteCount: reception.bufferedByteCount, of: index)
    for action in reception.actions {
      switch action {
      case .write: break
      case .introduced(let introduction, let key): handlers.introduced(link, introduction, key)
      case .message(let message, let request): handlers.message(link, message, request)
      case .tooLarge(let message, let request, let byteCount):
        handlers.tooLarge(link, message, request, byteCount)
      case .close(let reason):
        log.write(.workerConnectionFailed, "\(link.socket.peer): \(reason)")
        return leave(index, of: &peers)
      }
    }
    if mustWait(index, peers) { peers.pause(index) }
  }

  /// Ends a connection once the peer has been told why, which the end has put into its last bytes.
  private func leave(_ index: Int, of peers: inout PeerTable) {
    peers[index].link.flush()
    remove(index, from: &peers)
  }

  private func remove(_ index: Int, from peers: inout PeerTable) {
    let peer = peers.remove(index)
    peer.link.disconnect()
    // Of a stranger nobody has heard.
    if peer.isAuthenticated { handlers.left(peer.link) }
  }

  /// Whether nothing more is to be read from a peer for now.
  private func mustWait(_ index: Int, _ peers: PeerTable) -> Bool {
    let link = peers[index].link
    if link.waitingByteCount > WorkerLimits.calmSendQueueByteCount { return true }
    if link.lane.count > WorkerLimits.waitingMessages || handlers.isBusy() { return true }
    let unfinished = peers.bufferedByteCount + uploads.byteCount
    guard unfinished > WorkerLimits.unfinishedUploadByteCount else { return false }
    // The oldest is read on, so that not everybody waits for everybody.
    return peers[index].bufferedSince != nil && index != peers.oldestUnfinished
  }

  // MARK: - Time

  /// Ends what has lasted too long, and reads on where the reason to wait is gone.
  private func look(at peers: inout PeerTable, at now: Milliseconds) {
    for index in peers.indices.reversed() {
      let peer = peers[index]
      if let end = peer.leavesAt {
        if end <= now { remove(index, from: &peers) }
      } else if peer.isPaused {
        if peer.link.isFree, !mustWait(index, peers) {
          peers.resume(index)
          // Who was not read from is not late because of that.
          peers[index].deadline = max(peer.deadline, now + WorkerLimits.resumptionMilliseconds)
        }
      } else if peer.deadline < now, let reception = peer.link.expire(at: now) {
        act(on: reception, index, of: &peers)
      }
    }
  }
}

/// Bytes of uploads, of all workers, that have come whole and are being checked and stored.
final class UploadBudget: Sendable {
  private let used = Guarded(0)

  var byteCount: Int { used.withLock { $0 } }

  /// Takes bytes from the budget; `false` if too many are on their way already.
  func take(_ byteCount: Int) -> Bool {
    used.withLock { used in
      guard used == 0 || used + byteCount <= WorkerLimits.unfinishedUploadByteCount else {
        return false
      }
      used += byteCount
      return true
    }
  }

  func giveBack(_ byteCount: Int) { used.withLock { $0 -= byteCount } }
}
