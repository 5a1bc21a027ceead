import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat

@Suite("Wire: limits and deadlines") struct LimitTests {
  struct Length {
    let length: Int
    let type: UInt8
    let isRefused: Bool
    let because: String
  }

  static let first = [
    Length(length: 0, type: 124, isRefused: true, because: "nothing"),
    Length(length: 16, type: 124, isRefused: true, because: "no header"),
    Length(length: 17, type: 124, isRefused: false, because: "the least; read on"),
    Length(length: 256, type: 124, isRefused: false, because: "the most; read on"),
    Length(length: 257, type: 124, isRefused: true, because: "over the limit of strangers"),
    Length(length: 65_536, type: 1, isRefused: true, because: "a control message of a stranger"),
    Length(length: 1 << 31, type: 124, isRefused: true, because: "a sign bit"),
    Length(length: 0xffff_ffff, type: 124, isRefused: true, because: "the largest number"),
    Length(length: 77, type: 0, isRefused: true, because: "an unknown type"),
    Length(length: 77, type: 255, isRefused: true, because: "an unknown type"),
  ]

  @Test("a stranger's length is checked before its frame is read", arguments: first)
  func stranger(_ row: Length) {
    var conversation = Conversation()
    conversation.toCoordinator = Array(
      Tap.frame(type: row.type, body: [], length: row.length).prefix(5))
    conversation.deliverToCoordinator()
    #expect(conversation.coordinatorClosed.isEmpty != row.isRefused, "\(row.because)")

    var worker = Conversation()
    worker.toWorker = Array(
      Tap.frame(type: row.type, body: [], length: row.length).prefix(5))
    worker.deliverToWorker()
    #expect(worker.workerClosed.isEmpty != row.isRefused, "\(row.because)")
  }

  static let sealed = [
    Length(length: 48, type: 2, isRefused: true, because: "no room for the tag"),
    Length(length: 49, type: 2, isRefused: false, because: "an empty body"),
    Length(length: 65_536, type: 7, isRefused: false, because: "the most of a control message"),
    Length(length: 65_537, type: 7, isRefused: true, because: "over it"),
    Length(length: 65_537, type: 6, isRefused: true, because: "content travels in chunks"),
    Length(length: 65_537, type: 127, isRefused: false, because: "a chunk"),
    Length(length: 1_048_625, type: 127, isRefused: false, because: "the largest chunk"),
    Length(length: 1_048_626, type: 127, isRefused: true, because: "over it"),
    Length(length: 257, type: 124, isRefused: true, because: "a handshake's frame is small"),
    Length(length: 1 << 31, type: 127, isRefused: true, because: "a sign bit"),
    Length(length: 1000, type: 14, isRefused: true, because: "an unknown type"),
  ]

  @Test("a known worker's length is checked before its frame is read", arguments: sealed)
  func known(_ row: Length) throws {
    var conversation = try Conversation.open()
    conversation.toCoordinator = Array(
      Tap.frame(type: row.type, sequence: 2, body: [], length: row.length).prefix(5))
    conversation.deliverToCoordinator()
    #expect(conversation.coordinatorClosed.isEmpty != row.isRefused, "\(row.because)")
    #expect(conversation.coordinator.bufferedByteCount == (row.isRefused ? 0 : 5))
  }

  @Test("a recipe with many labels fits, as welcome may be larger")
  func manyLabels() throws {
    var conversation = Conversation()
    conversation.run()
    let labels = (0..<20_000).map { "label \($0)" }
    let welcome = WireMessage.welcome(
      TrainingRecipe(labels: labels),
      AttestedHead(LedgerHead(size: 1, root: Samples.digest), tag: Samples.digest))
    conversation.say(welcome, request: 0)
    conversation.run()
    #expect(conversation.atWorker.map(\.message) == [welcome])
    #expect(conversation.workerClosed.isEmpty)
  }

  @Test("a closed end answers nothing and sends nothing")
  func closed() throws {
    var conversation = try Conversation.open()
    let honest = Array(conversation.worker.send(.requestWork, request: 0).joined())
    conversation.toCoordinator = [0, 0, 0, 0] + honest
    conversation.run()
    #expect(conversation.coordinatorClosed.count == 1 && conversation.workerClosed.count == 1)
    #expect(conversation.coordinator.isClosed && conversation.worker.isClosed)
    conversation.toCoordinator = honest
    conversation.toWorker = honest
    conversation.perform(conversation.coordinator.expire(at: .max))
    conversation.say(.cancel(epoch: 1), request: 0)
    conversation.say(.requestWork, request: 0)
    #expect(conversation.toCoordinator == honest && conversation.toWorker == honest)
    conversation.run()
    #expect(conversation.coordinatorClosed.count == 1 && conversation.workerClosed.count == 1)
    #expect(conversation.coordinatorIsUntouched && conversation.atWorker.count == 1)
    #expect(conversation.coordinator.isAuthenticated && !conversation.coordinator.isOpen)
  }

  @Test("nothing is sent before authentication, and nothing after turned away")
  func silent() throws {
    var conversation = Conversation()
    let opening = conversation.toCoordinator
    conversation.say(Samples.welcome, request: 0)
    conversation.say(.requestWork, request: 0)
    #expect(conversation.toWorker.isEmpty && conversation.toCoordinator == opening)
    conversation.run()
    conversation.say(.turnedAway(TurnedAway(.full, "later")), request: 0)
    #expect(conversation.coordinator.isClosed)
    conversation.run()
    #expect(conversation.atWorker.map(\.message) == [.turnedAway(TurnedAway(.full, "later"))])
    #expect(conversation.workerClosed.count == 1)
  }

  // MARK: - Deadlines

  @Test("the handshake has 5 s in all, however it trickles in")
  func handshakeDeadline() {
    var conversation = Conversation()
    #expect(conversation.coordinator.deadline == 6000)
    conversation.now = 5900
    conversation.deliverToCoordinator()
    conversation.deliverToWorker()
    #expect(conversation.coordinator.deadline == 6000)
    conversation.perform(conversation.coordinator.expire(at: 6000))
    #expect(conversation.coordinatorClosed.isEmpty)
    var late = conversation
    late.now = 6001
    late.deliverToCoordinator()
    #expect(late.introduced.isEmpty && late.coordinatorClosed.count == 1)
    late = conversation
    late.perform(late.coordinator.expire(at: 6001))
    #expect(late.coordinatorClosed.count == 1)
    conversation.now = 6000
    conversation.deliverToCoordinator()
    #expect(conversation.introduced.count == 1)
    #expect(conversation.coordinator.deadline == 66_000)
  }

  struct Deadline {
    /// Bytes of a chunk frame that have arrived, and when.
    let arrivals: [(at: Milliseconds, byteCount: Int)]
    let deadline: Milliseconds
    let because: String
  }

  static let deadlines = [
    Deadline(arrivals: [], deadline: 61_000, because: "idle for 60 s"),
    Deadline(arrivals: [(2000, 1)], deadline: 7000, because: "a frame begun and left"),
    Deadline(arrivals: [(2000, 16_384)], deadline: 8000, because: "1 s more for 16 KiB"),
    Deadline(
      arrivals: [(2000, 16_384), (7000, 16_384)], deadline: 9000, because: "from its start"),
    Deadline(arrivals: [(2000, 900_000)], deadline: 32_000, because: "never more than 30 s"),
    Deadline(
      arrivals: [(2000, 500), (2001, 1 << 20)], deadline: 62_001, because: "complete, so idle"),
  ]

  @Test("a frame has its time, and idleness too", arguments: deadlines)
  func frameDeadline(_ row: Deadline) throws {
    var (conversation, tap, _) = try Tap.open()
    let content = [UInt8](repeating: 0, count: 1 << 20)
    conversation.toCoordinator = tap.seal(
      .upload, request: 1,
      body: ContentTests.uploadHead + Tap.announcement(content, byteCount: 9 << 20))
    conversation.deliverToCoordinator()
    let frame = tap.seal(.chunk, request: 1, body: content)
    var position = 0
    for arrival in row.arrivals {
      let end = min(frame.count, position + arrival.byteCount)
      conversation.now = arrival.at
      conversation.toCoordinator = Array(frame[position..<end])
      conversation.deliverToCoordinator()
      position = end
    }
    #expect(conversation.coordinator.deadline == row.deadline, "\(row.because)")
    conversation.perform(conversation.coordinator.expire(at: row.deadline))
    #expect(conversation.coordinatorClosed.isEmpty)
    conversation.perform(conversation.coordinator.expire(at: row.deadline + 1))
    #expect(conversation.coordinatorClosed.count == 1)
    #expect(conversation.coordinator.bufferedByteCount == 0)
  }
}
