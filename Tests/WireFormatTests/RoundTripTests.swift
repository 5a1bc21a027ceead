import ByteCoding
import CoordinatorCore
import Hashing
import Testing
import WireFormat

@Suite("Wire: messages") struct RoundTripTests {
  @Test("come through both ends as they were sent", arguments: [1, 2, 3, 7, 64, 1000, Int.max])
  func roundTrip(pieceByteCount: Int) throws {
    var conversation = Conversation()
    conversation.pieceByteCount = pieceByteCount
    conversation.run()
    #expect(conversation.introduced == [Samples.introduction])
    #expect(conversation.coordinator.keyID == Conversation.key.id)
    conversation.say(Samples.welcome, request: 0)
    for (number, message) in (Samples.fromWorker + Samples.fromCoordinator).enumerated()
    where message.type != .turnedAway {
      conversation.say(message, request: UInt64(number + 1))
    }
    conversation.run()
    let sent = (Samples.fromWorker + Samples.fromCoordinator).enumerated().filter {
      $0.element.type != .turnedAway
    }
    let atCoordinator = sent.filter { $0.element.type.isFromWorker }
    #expect(conversation.atCoordinator.map(\.message) == atCoordinator.map(\.element))
    #expect(
      conversation.atCoordinator.map(\.request) == atCoordinator.map { UInt64($0.offset + 1) })
    let atWorker = sent.filter { $0.element.type.isFromCoordinator }
    #expect(conversation.atWorker.map(\.message) == [Samples.welcome] + atWorker.map(\.element))
    #expect(conversation.coordinatorClosed.isEmpty && conversation.workerClosed.isEmpty)
    #expect(conversation.coordinator.bufferedByteCount == 0)
    #expect(conversation.worker.bufferedByteCount == 0)
  }

  @Test("of every type are among the samples")
  func complete() {
    let messages = FrameType.allCases.filter { $0.isFromWorker || $0.isFromCoordinator }
    #expect(Set(Samples.messages.map(\.type)) == Set(messages))
    #expect(Samples.messages.count == messages.count)
  }

  @Test("cut or changed anywhere are refused or read as another", arguments: Samples.messages)
  func hostile(message: WireMessage) throws {
    let (type, head, content) = message.parts
    #expect(try WireMessage(type, head: head[...], content: content) == message)
    for end in 0..<head.count {
      #expect(throws: DecodingFailure.self) {
        _ = try WireMessage(type, head: head[..<end], content: content)
      }
    }
    #expect(throws: DecodingFailure.self) {
      _ = try WireMessage(type, head: (head + [0])[...], content: content)
    }
    for index in head.indices {
      for value: UInt8 in [0, 0x7f, 0x80, 0xff] {
        var changed = head
        changed[index] = value
        _ = try? WireMessage(type, head: changed[...], content: content)
      }
    }
    for index in content.indices {
      for value: UInt8 in [0, 0x7f, 0x80, 0xff] {
        var changed = content
        changed[index] = value
        _ = try? WireMessage(type, head: head[...], content: changed)
        _ = try? WireMessage(type, head: head[...], content: Array(content[..<index]))
      }
    }
  }

  @Test("heads of messages with content have the size their type says")
  func headSizes() {
    for message in Samples.messages {
      if let shape = message.type.content {
        #expect(message.parts.head.count == shape.headByteCount, "\(message.type)")
      } else {
        #expect(message.parts.content.isEmpty, "\(message.type)")
      }
    }
  }

  @Test("texts over their limit are cut at a scalar, not refused")
  func clipped() throws {
    var conversation = try Conversation.open()
    let long = String(repeating: "é", count: 3000)
    conversation.say(.predictionFailed("x" + long), request: 1)
    conversation.run()
    #expect(
      conversation.atCoordinator.map(\.message)
        == [.predictionFailed("x" + String(repeating: "é", count: 255))])
  }
}
