import CoordinatorCore
import SystemIO

/// The connections of the worker port as its one thread sees them.
struct PeerTable {
  struct Peer {
    let link: WorkerLink
    let arrivedAt: Milliseconds
    var deadline: Milliseconds
    /// Has shown a key.
    fileprivate(set) var isAuthenticated = false
    /// Nothing is read for now.
    var isPaused = false
    /// Has been told to go; by when it is gone.
    var leavesAt: Milliseconds?
    /// Bytes of messages whose end has not come, and which unfinished message came first.
    var bufferedByteCount = 0
    var bufferedSince: UInt64?
  }

  static let listenerIndex = 0
  /// The listener and the wake-up stand before the peers.
  private static let first = 2

  var poll = PollSet()
  private var peers: [Peer] = []
  /// Places of peers, by link.
  private var places: [ObjectIdentifier: Int] = [:]
  /// Those who have not shown a key yet, longest here first; few, as there are few places for them.
  private(set) var strangers: [WorkerLink] = []
  private var lastID: UInt64 = 0
  private var lastUnfinished: UInt64 = 0
  private(set) var pausedCount = 0
  private(set) var bufferedByteCount = 0

  /// Nobody can be let in for a moment; the listener is not waited for meanwhile.
  var isCrowded = false {
    didSet { poll.setInterest(Self.listenerIndex, reading: !isCrowded, writing: false) }
  }

  var count: Int { peers.count }

  /// Indices in the poll set, which are the peers' everywhere.
  var indices: Range<Int> { Self.first..<Self.first + peers.count }

  subscript(index: Int) -> Peer {
    get { peers[index - Self.first] }
    set { peers[index - Self.first] = newValue }
  }

  mutating func nextID() -> WorkerID {
    lastID += 1
    return WorkerID(lastID)
  }

  /// - Precondition: `link` is that of a peer.
  func index(of link: WorkerLink) -> Int { places[ObjectIdentifier(link)]! }

  /// A peer has shown its key.
  mutating func authenticate(_ index: Int) {
    guard !self[index].isAuthenticated else { return }
    self[index].isAuthenticated = true
    forgetStranger(self[index].link)
  }

  private mutating func forgetStranger(_ link: WorkerLink) {
    strangers.removeAll { $0 === link }
  }

  /// The peer whose unfinished message began first.
  var oldestUnfinished: Int? {
    indices.filter { self[$0].bufferedSince != nil }
      .min { self[$0].bufferedSince! < self[$1].bufferedSince! }
  }

  /// Adds a stranger.
  mutating func insert(_ peer: Peer) {
    places[ObjectIdentifier(peer.link)] = Self.first + peers.count
    peers.append(peer)
    strangers.append(peer.link)
    poll.append(peer.link.socket)
  }

  /// Removes a peer; the last takes its index.
  mutating func remove(_ index: Int) -> Peer {
    let peer = self[index]
    if !peer.isAuthenticated { forgetStranger(peer.link) }
    if peer.isPaused { pausedCount -= 1 }
    bufferedByteCount -= peer.bufferedByteCount
    poll.swapRemove(index)
    peers.swapAt(index - Self.first, peers.count - 1)
    peers.removeLast()
    places[ObjectIdentifier(peer.link)] = nil
    if indices.contains(index) { places[ObjectIdentifier(self[index].link)] = index }
    return peer
  }

  mutating func note(bufferedByteCount count: Int, of index: Int) {
    bufferedByteCount += count - self[index].bufferedByteCount
    self[index].bufferedByteCount = count
    if count == 0 {
      self[index].bufferedSince = nil
    } else if self[index].bufferedSince == nil {
      lastUnfinished += 1
      self[index].bufferedSince = lastUnfinished
    }
  }

  /// A thread has said or closed something: see what the link waits for now.
  mutating func attend(_ link: WorkerLink, at now: Milliseconds) {
    guard let index = places[ObjectIdentifier(link)] else { return }
    if link.isLeaving, self[index].leavesAt == nil {
      self[index].leavesAt = now + WorkerLimits.farewellMilliseconds
      pause(index)
    }
    refreshInterest(index)
  }

  mutating func pause(_ index: Int) {
    if !self[index].isPaused { pausedCount += 1 }
    self[index].isPaused = true
    refreshInterest(index)
  }

  mutating func resume(_ index: Int) {
    if self[index].isPaused { pausedCount -= 1 }
    self[index].isPaused = false
    refreshInterest(index)
  }

  mutating func refreshInterest(_ index: Int) {
    poll.setInterest(
      index, reading: !self[index].isPaused, writing: self[index].link.sealedByteCount > 0)
  }
}
