import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat

/// Twelve thousand changed streams and more; the seed is the way to repeat one.
@Suite("Wire: damage") struct DamageTests {
  private static let changesPerSeed = 120

  /// Frames of an open session with what has been delivered when each has come.
  private struct Recording {
    var frames: [[UInt8]] = []
    /// Messages delivered after so many frames.
    var deliveredCount = [0]

    init(_ messages: [WireMessage], _ send: (WireMessage, UInt64) -> [[UInt8]]) {
      for (index, message) in messages.enumerated() {
        let sent = send(message, UInt64(index + 1))
        for frame in sent.dropLast() {
          frames.append(frame)
          deliveredCount.append(index)
        }
        frames.append(sent[sent.count - 1])
        deliveredCount.append(index + 1)
      }
    }
  }

  /// Changes the stream at `index` or behind; honest frames before it are left alone.
  private func change(
    _ frames: [[UInt8]], at index: Int, foreign: [[UInt8]], using random: inout SeededGenerator
  ) -> (stream: [UInt8], isCut: Bool) {
    var rest = Array(frames[index...])
    switch Int.random(in: 0..<9, using: &random) {
    case 0:  // A bit flips.
      let bit = Int.random(in: 0..<rest[0].count * 8, using: &random)
      rest[0][bit / 8] ^= 1 << UInt8(bit % 8)
    case 1:  // A frame comes twice.
      rest = [index > 0 ? frames[index - 1] : foreign[0]] + rest
    case 2 where rest.count > 1:  // Two change places.
      rest.swapAt(0, Int.random(in: 1..<rest.count, using: &random))
    case 3 where rest.count > 1:  // One is left out.
      rest.removeFirst()
    case 4:  // The stream ends in the middle of one.
      let end = Int.random(in: 0..<rest[0].count, using: &random)
      return (Array(rest[0][..<end]), true)
    case 5:  // Another session's.
      rest[0] = foreign[Int.random(in: 0..<foreign.count, using: &random)]
    case 6:  // Bytes are lost from one, and the next takes their place.
      rest[0].removeLast(Int.random(in: 1...rest[0].count, using: &random))
      if rest[0].isEmpty || rest.count == 1 { return (Array(rest[0]), true) }
    case 7:  // Bytes come between.
      let place = Int.random(in: 0..<rest[0].count, using: &random)
      let byte = UInt8.random(in: 0...255, using: &random)
      // Another byte than the one that would have come, or it would change nothing here.
      rest[0].insert(byte == rest[0][place] ? byte ^ 1 : byte, at: place)
    default:  // A run of bytes is overwritten.
      let start = Int.random(in: 0..<rest[0].count, using: &random)
      let end = Int.random(in: start..<rest[0].count, using: &random)
      for place in start...end { rest[0][place] ^= UInt8.random(in: 0...255, using: &random) }
      if rest[0] == frames[index] { rest[0][start] ^= 1 }
    }
    return (Array(rest.joined()), false)
  }

  @Test("delivers nothing behind it to the coordinator", arguments: UInt64(0)..<60)
  func coordinator(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var conversation = try Conversation.open(nonce: 1)
    var foreign = try Conversation.open(nonce: 2)
    let messages = Samples.fromWorker.shuffled(using: &random)
    let recording = Recording(messages) { conversation.worker.send($0, request: $1) }
    let other = messages.flatMap { foreign.worker.send($0, request: 3) }
    for _ in 0..<Self.changesPerSeed {
      let index = Int.random(in: 0..<recording.frames.count, using: &random)
      let (stream, isCut) = change(recording.frames, at: index, foreign: other, using: &random)
      var attempt = conversation
      attempt.toCoordinator = Array(recording.frames[..<index].joined()) + stream
      attempt.pieceByteCount = Int.random(in: 1...4096, using: &random)
      attempt.deliverToCoordinator()
      let expected = recording.deliveredCount[index]
      try #require(attempt.atCoordinator.map(\.message) == Array(messages[..<expected]))
      try #require(
        isCut || attempt.coordinator.isClosed || attempt.coordinator.bufferedByteCount > 0)
    }
  }

  @Test("delivers nothing behind it to the worker", arguments: UInt64(0)..<60)
  func worker(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var conversation = try Conversation.open(nonce: 1)
    var foreign = try Conversation.open(nonce: 2)
    let messages = Samples.fromCoordinator.filter { $0.type != .turnedAway }
      .shuffled(using: &random)
    let recording = Recording(messages) { conversation.coordinator.send($0, request: $1) }
    let other = messages.flatMap { foreign.coordinator.send($0, request: 3) }
    for _ in 0..<Self.changesPerSeed {
      let index = Int.random(in: 0..<recording.frames.count, using: &random)
      let (stream, isCut) = change(recording.frames, at: index, foreign: other, using: &random)
      var attempt = conversation
      attempt.toWorker = Array(recording.frames[..<index].joined()) + stream
      attempt.pieceByteCount = Int.random(in: 1...4096, using: &random)
      attempt.deliverToWorker()
      let expected = recording.deliveredCount[index]
      try #require(attempt.atWorker.map(\.message) == Array(messages[..<expected]))
      try #require(isCut || attempt.worker.isClosed || attempt.worker.bufferedByteCount > 0)
    }
  }

  @Test("in the handshake lets nobody in", arguments: UInt64(0)..<20)
  func handshake(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var honest = Conversation()
    var fromWorker = honest.toCoordinator
    honest.deliverToCoordinator()
    let challenge = honest.toWorker
    honest.deliverToWorker()
    fromWorker += honest.toCoordinator
    let bitCount = fromWorker.count * 8
    for _ in 0..<Self.changesPerSeed {
      var changed = fromWorker
      let bit = Int.random(in: 0..<bitCount, using: &random)
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      var conversation = Conversation()
      conversation.toCoordinator = changed
      conversation.pieceByteCount = Int.random(in: 1...300, using: &random)
      conversation.deliverToCoordinator()
      try #require(conversation.introduced.isEmpty && conversation.coordinatorIsUntouched)

      var answer = challenge
      let place = Int.random(in: 0..<answer.count * 8, using: &random)
      answer[place / 8] ^= 1 << UInt8(place % 8)
      conversation.toWorker = answer
      conversation.toCoordinator = []
      conversation.deliverToWorker()
      try #require(conversation.toCoordinator.isEmpty && !conversation.worker.isAuthenticated)
    }
  }

  @Test("any bytes at all are refused without a trap", arguments: UInt64(0)..<50)
  func noise(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<50 {
      let bytes = (0..<Int.random(in: 1...400, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      var conversation = Conversation()
      conversation.toCoordinator = bytes
      conversation.toWorker = bytes
      conversation.deliverToCoordinator()
      conversation.toWorker = bytes
      conversation.deliverToWorker()
      try #require(conversation.introduced.isEmpty && conversation.atWorker.isEmpty)
    }
  }

  @Test("bodies of any bytes under the right key are refused or read", arguments: UInt64(0)..<50)
  func bodies(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let (open, worker, coordinator) = try Tap.open()
    for message in Samples.messages {
      let type = message.type
      var (_, head, content) = message.parts
      if Bool.random(using: &random), !head.isEmpty {
        head[Int.random(in: 0..<head.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      if Bool.random(using: &random), !content.isEmpty {
        content[Int.random(in: 0..<content.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      let body = type.content == nil ? head : head + Tap.announcement(content)
      var (conversation, taps) = (open, [worker, coordinator])
      for index in taps.indices {
        var stream = taps[index].seal(type, request: 5, body: body)
        if !content.isEmpty { stream += taps[index].seal(.chunk, request: 5, body: content) }
        if index == 0 {
          conversation.toCoordinator = stream
        } else {
          conversation.toWorker = stream
        }
      }
      conversation.deliverToCoordinator()
      if !conversation.coordinatorClosed.isEmpty { conversation.toWorker = [] }
      conversation.deliverToWorker()
    }
  }
}
