import CoordinatorCore
import Hashing
import Testing
import Unlearning
import WireFormat

@Suite("Wire: content in chunks") struct ContentTests {
  static let uploadHead = WireMessage.upload(
    epoch: 5, BlockKey(Samples.digest),
    TrainingWork(steps: 1, examples: 2, seconds: 1, gemmSeconds: 1, finalLoss: 1), artifact: []
  ).parts.head

  /// What an attacker with the key does, and what comes of it.
  private func expectViolation(
    _ because: Comment, _ frames: (inout Tap) -> [[UInt8]]
  ) throws {
    var (conversation, tap, _) = try Tap.open()
    conversation.toCoordinator = Array(frames(&tap).joined())
    conversation.deliverToCoordinator()
    #expect(conversation.coordinatorIsUntouched, because)
    #expect(conversation.coordinatorClosed.count == 1, because)
    #expect(conversation.coordinator.bufferedByteCount == 0, because)
  }

  @Test("what is larger than the run has a use for is told of at once, and let pass unkept")
  func unwanted() throws {
    let limits = ContentLimits(uploadByteCount: 100, checkpointByteCount: 3 << 20)
    var conversation = try Conversation.open(limits: limits)
    let work = TrainingWork(steps: 1, examples: 2, seconds: 1, gemmSeconds: 1, finalLoss: 1)
    func upload(_ byteCount: Int) -> WireMessage {
      .upload(
        epoch: 5, BlockKey(Samples.digest), work,
        artifact: [UInt8](repeating: 1, count: byteCount))
    }
    conversation.say(upload(5 << 20), request: 1)
    let stream = conversation.toCoordinator
    // Its announcement alone, and then piece by piece.
    conversation.toCoordinator = Array(stream.prefix(400))
    conversation.deliverToCoordinator()
    #expect(conversation.tooLarge.map(\.byteCount) == [5 << 20])
    #expect(conversation.tooLarge.map(\.message) == [upload(0)])
    for start in stride(from: 400, to: stream.count, by: 300_000) {
      conversation.toCoordinator = Array(stream[start..<min(start + 300_000, stream.count)])
      conversation.deliverToCoordinator()
      #expect(conversation.coordinator.bufferedByteCount < 3 << 19, "it is kept")
    }
    // The number is free again, and what is not too large is taken as ever.
    for (message, request) in [(upload(100), 1), (upload(0), 2)] {
      conversation.say(message, request: UInt64(request))
    }
    conversation.say(
      .checkpoint(
        epoch: 5, BlockKey(Samples.digest), step: 1, state: [UInt8](repeating: 2, count: 1 << 20)),
      request: 3)
    conversation.say(upload(101), request: 4)
    conversation.run()
    #expect(conversation.atCoordinator.map(\.request) == [1, 2, 3])
    #expect(conversation.tooLarge.map(\.byteCount) == [5 << 20, 101])
    #expect(conversation.coordinatorClosed.isEmpty && conversation.coordinator.isOpen)
  }

  @Test("chunks of what is let pass follow the rules of all chunks")
  func unwantedViolation() throws {
    var (conversation, tap, _) = try Tap.open(limits: ContentLimits(uploadByteCount: 2))
    let frames = [
      tap.seal(.upload, request: 1, body: Self.uploadHead + Tap.announcement([1, 2, 3])),
      tap.seal(.chunk, request: 1, body: [1, 2, 3, 4]),
    ]
    conversation.toCoordinator = Array(frames.joined())
    conversation.deliverToCoordinator()
    #expect(conversation.tooLarge.count == 1 && conversation.coordinatorClosed.count == 1)
  }

  @Test("violations end the connection and deliver nothing")
  func violations() throws {
    let head = Self.uploadHead
    let content: [UInt8] = [1, 2, 3]
    func upload(_ tap: inout Tap, _ request: UInt64 = 1, byteCount: Int? = nil) -> [UInt8] {
      tap.seal(
        .upload, request: request, body: head + Tap.announcement(content, byteCount: byteCount))
    }
    try expectViolation("a chunk of nothing") { [$0.seal(.chunk, request: 1, body: [1])] }
    try expectViolation("a chunk of another number") {
      [upload(&$0), $0.seal(.chunk, request: 2, body: [1])]
    }
    try expectViolation("one byte too many") {
      [upload(&$0), $0.seal(.chunk, request: 1, body: [1, 2, 3, 4])]
    }
    try expectViolation("an empty chunk") { [upload(&$0), $0.seal(.chunk, request: 1)] }
    try expectViolation("a wrong digest") {
      [upload(&$0), $0.seal(.chunk, request: 1, body: [1, 2, 4])]
    }
    try expectViolation("chunks out of order") {
      [
        upload(&$0), $0.seal(.chunk, request: 1, body: [3]),
        $0.seal(.chunk, request: 1, body: [1, 2]),
      ]
    }
    try expectViolation("request number 0") { [upload(&$0, 0)] }
    try expectViolation("a number in use") { [upload(&$0), upload(&$0)] }
    try expectViolation("a fifth content") { tap in (1...5).map { upload(&tap, $0) } }
    try expectViolation("too large") { [upload(&$0, byteCount: (256 << 20) + 1)] }
    try expectViolation("far too large") {
      [
        $0.seal(
          .upload, request: 1,
          body: head + [UInt8](repeating: 255, count: 8) + Samples.digest.bytes)
      ]
    }
    try expectViolation("a head too short") {
      [$0.seal(.upload, request: 1, body: head.dropLast() + Tap.announcement(content))]
    }
    try expectViolation("a head too long") {
      [$0.seal(.upload, request: 1, body: head + [0] + Tap.announcement(content))]
    }
    try expectViolation("no announcement") { [$0.seal(.upload, request: 1, body: head)] }
    try expectViolation("no content, but a digest of something") {
      [upload(&$0, byteCount: 0)]
    }
    try expectViolation("content that is no message") {
      let content: [UInt8] = [255, 255, 255, 255]
      return [
        $0.seal(.predictions, request: 1, body: Tap.announcement(content)),
        $0.seal(.chunk, request: 1, body: content),
      ]
    }
    try expectViolation("predictions over their limit") {
      [$0.seal(.predictions, request: 1, body: Tap.announcement([], byteCount: (16 << 20) + 1))]
    }
  }

  @Test("a chunk after its content is complete is one too many")
  func surplus() throws {
    var (conversation, tap, _) = try Tap.open()
    let body = Self.uploadHead + Tap.announcement([1, 2, 3])
    conversation.toCoordinator =
      tap.seal(.upload, request: 1, body: body) + tap.seal(.chunk, request: 1, body: [1, 2, 3])
      + tap.seal(.chunk, request: 1, body: [4])
    conversation.deliverToCoordinator()
    #expect(conversation.atCoordinator.count == 1 && conversation.coordinatorClosed.count == 1)
  }

  @Test("contents interleave with each other and with messages", arguments: [1, 50, Int.max])
  func interleaved(pieceByteCount: Int) throws {
    var (conversation, tap, _) = try Tap.open()
    conversation.pieceByteCount = pieceByteCount
    let contents = (0..<4).map { index in (0..<10).map { UInt8(index * 10 + $0) } }
    for (index, content) in contents.enumerated() {
      conversation.toCoordinator += tap.seal(
        .upload, request: UInt64(index + 1), body: Self.uploadHead + Tap.announcement(content))
    }
    for start in stride(from: 0, to: 10, by: 5) {
      for (index, content) in contents.enumerated().reversed() {
        conversation.toCoordinator += tap.seal(
          .chunk, request: UInt64(index + 1), body: Array(content[start..<start + 5]))
      }
      conversation.toCoordinator += tap.seal(.requestWork)
    }
    conversation.deliverToCoordinator()
    #expect(conversation.atCoordinator.map(\.request) == [0, 4, 3, 2, 1, 0])
    let artifacts = conversation.atCoordinator.compactMap { entry -> [UInt8]? in
      guard case .upload(_, _, _, let artifact) = entry.message else { return nil }
      return artifact
    }
    #expect(artifacts == contents.reversed())
    // Numbers of complete contents are free again.
    conversation.toCoordinator += tap.seal(
      .upload, request: 1, body: Self.uploadHead + Tap.announcement([]))
    conversation.deliverToCoordinator()
    #expect(conversation.atCoordinator.last?.request == 1)
    #expect(conversation.coordinatorClosed.isEmpty)
  }

  @Test("an announcement alone costs nothing")
  func announced() throws {
    var (conversation, tap, _) = try Tap.open()
    for request in UInt64(1)...4 {
      conversation.toCoordinator += tap.seal(
        .upload, request: request,
        body: Self.uploadHead + Tap.announcement([1], byteCount: 256 << 20))
    }
    conversation.toCoordinator += tap.seal(.chunk, request: 2, body: [1, 2, 3])
    conversation.toCoordinator += [0, 0]
    conversation.deliverToCoordinator()
    #expect(conversation.coordinator.bufferedByteCount == 5)
    #expect(conversation.coordinatorClosed.isEmpty && conversation.coordinatorIsUntouched)
  }

  @Test("large ones come through in pieces", arguments: [1 << 16, 100_003, Int.max])
  func large(pieceByteCount: Int) throws {
    var conversation = try Conversation.open()
    conversation.pieceByteCount = pieceByteCount
    let bytes = Samples.pattern(3 << 20 + 17)
    conversation.say(
      .checkpoint(epoch: 1, BlockKey(Samples.digest), step: 3, state: bytes), request: 0)
    conversation.say(.artifact(bytes), request: 12)
    conversation.run()
    #expect(
      conversation.atCoordinator.map(\.message)
        == [.checkpoint(epoch: 1, BlockKey(Samples.digest), step: 3, state: bytes)])
    #expect(conversation.atWorker.map(\.message) == [.artifact(bytes)])
    #expect(conversation.atWorker.map(\.request) == [12])
  }

  @Test("a missing request number is filled in where callers take none")
  func freshNumbers() throws {
    var conversation = try Conversation.open()
    let message = WireMessage.checkpoint(
      epoch: 1, BlockKey(Samples.digest), step: 3, state: [1])
    conversation.say(message, request: 0)
    conversation.say(message, request: 0)
    conversation.say(.forget(throughDeletion: 1, artifacts: []), request: 0)
    conversation.run()
    let top = UInt64(1) << 63
    #expect(conversation.atCoordinator.map(\.request) == [top + 1, top + 2])
    #expect(conversation.atWorker.map(\.request) == [top + 1])
  }

  @Test("heartbeats pass between the chunks of what waits, and nothing else does")
  func order() throws {
    var conversation = try Conversation.open()
    let state = Samples.pattern(2 << 20)
    let checkpoint = WireMessage.checkpoint(
      epoch: 1, BlockKey(Samples.digest), step: 3, state: state)
    let beat = WireMessage.heartbeat(epoch: 1, StageProgress(step: 1, totalSteps: 2))
    let failed = WireMessage.failed(epoch: 1, Failure(kind: .cancelled, reason: "drained"))
    var isTaken = [conversation.worker.enqueue(checkpoint, request: 0)]
    for _ in 0..<2 {
      guard let frame = conversation.worker.nextFrame() else { break }
      conversation.toCoordinator += frame
    }
    isTaken.append(conversation.worker.enqueue(failed, request: 0))
    isTaken.append(conversation.worker.enqueue(beat, request: 0))
    #expect(isTaken == [true, true, true])
    #expect(conversation.worker.waitingByteCount > 1 << 20)
    while let frame = conversation.worker.nextFrame() { conversation.toCoordinator += frame }
    #expect(conversation.worker.waitingByteCount == 0)
    conversation.run()
    #expect(conversation.atCoordinator.map(\.message) == [beat, checkpoint, failed])
  }

  @Test("what is too large for the wire is not begun")
  func tooLarge() throws {
    var conversation = try Conversation.open()
    let tooLarge = [UInt8](repeating: 0, count: (256 << 20) + 1)
    conversation.say(.artifact(tooLarge), request: 7)
    conversation.say(
      .checkpoint(epoch: 1, BlockKey(Samples.digest), step: 1, state: tooLarge), request: 0)
    #expect(conversation.toCoordinator.isEmpty)
    let answerByteCount = conversation.toWorker.count
    let text = String(repeating: "a", count: 16 << 20)
    conversation.say(.predict([], [PredictionInput(text: text)], .meanLogits), request: 8)
    #expect(conversation.toWorker.count == answerByteCount)
    conversation.say(.requestWork, request: 0)
    conversation.run()
    guard case .unavailable? = conversation.atWorker.first?.message else {
      Issue.record("the question was not answered")
      return
    }
    #expect(conversation.atWorker.map(\.request) == [7])
    #expect(conversation.atCoordinator.map(\.message) == [.requestWork])
  }
}
