import CoordinatorCore
import WireFormat

/// What the worker port gives its peers at most: each limit with its reason.
struct WorkerLimits: Sendable {
  /// Workers at a time. `coordinator.maximumWorkers` sets it, as an operator knows the fleet.
  var maximumWorkers = defaultMaximumWorkers
  /// Descriptors that worker connections may take together; the rest is for files and people.
  var maximumConnections = 8
  /// What the run's blocks and their checkpoints come to at most; the plan sets it.
  var contents = ContentLimits()

  static let defaultMaximumWorkers = 1024

  /// Peers that have not proved yet to have a key. When all places are taken, who has waited
  /// longest goes: an honest handshake takes milliseconds, so holding places keeps nobody out.
  static let unauthenticatedConnections = 32
  /// Nobody goes before that: of hundreds of workers that come back at once, those who find no
  /// place wait in the kernel's queue meanwhile.
  static let undisturbedMilliseconds: Milliseconds = 100
  /// Let in between two looks at those who are in: whoever works waits for no more arrivals than
  /// these, however many there are.
  static let arrivalsInOneTurn = 1
  /// Places for peers of one address, so that one machine cannot take all. Loopback is exempt: all
  /// workers of `lethe up` come from there.
  static let unauthenticatedPerAddress = 16

  /// Deadlines for what is to come from a peer are `CoordinatorEnd`'s; after a time in which
  /// nothing was read from it, it gets this long to go on.
  static let resumptionMilliseconds: Milliseconds = 5_000
  /// A refused worker gets this long to read why.
  static let farewellMilliseconds: Milliseconds = 2_000

  /// Nobody waits longer for the answer of a worker from which nothing comes, as others may have it
  /// ready: two heartbeats, each a fifth late.
  static let answeringSilenceMilliseconds: Milliseconds = 12_000

  /// Sealed bytes that wait for a peer before sealing pauses: enough to keep a fast network busy.
  static let sealedByteCount = 256 << 10
  /// Bytes that wait for a peer before nothing more is read from it: who does not take answers may
  /// not ask on.
  static let calmSendQueueByteCount = 1 << 20
  /// Bytes that wait for a peer before it is cut off. A message larger than this goes out if
  /// little waits before it.
  static let sendQueueByteCount = 64 << 20
  /// Messages of one peer that wait for a thread before nothing more is read from it.
  static let waitingMessages = 16

  /// Bytes of uploads and checkpoints, of all workers together, that are not stored yet. Beyond it
  /// finished ones are refused as busy, and of the unfinished only the oldest is read on.
  static let unfinishedUploadByteCount = 256 << 20

  /// Threads that read and store; more would only wait for the same disk and cores.
  static let workThreads = 4
  /// Read from one peer before the next has its turn.
  static let readByteCount = 64 << 10
  /// Descriptors kept free of worker connections: the API's 128, the journal, slices, artifacts.
  static let reservedDescriptors = 256

  /// - Parameter descriptorLimit: How many the process may have open.
  init(maximumWorkers: Int, descriptorLimit: Int) {
    self.maximumWorkers = maximumWorkers
    maximumConnections = min(
      maximumWorkers + Self.unauthenticatedConnections,
      max(descriptorLimit - Self.reservedDescriptors, descriptorLimit / 4))
  }
}
