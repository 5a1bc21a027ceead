import CoordinatorCore
import Hashing
import Testing
import WireFormat
import WorkerCore

/// Questions must not hold a purge up: each can be given up, by the coordinator or for a purge.
@Suite("Questions that are given up") struct QuestionTests {
  private func answering(_ artifact: [UInt8] = [10]) -> Conversation {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([artifact]), request: 5)
    conversation.answerAll()
    return conversation
  }

  private func stopped(_ effects: [WorkerMachine.Effect]) -> [UInt64] {
    effects.compactMap {
      if case .stopAnswering(let request, _) = $0 { request } else { nil }
    }
  }

  @Test("a question about purged blocks is stopped, and confirmed when its thread is through")
  func purged() {
    var conversation = answering()
    let forget = WireMessage.forget(throughDeletion: 3, artifacts: [SHA256.hash([10])])
    let effects = conversation.hear(forget)
    #expect(stopped(effects) == [5] && effects.confirmed.isEmpty)
    #expect(stopped(conversation.pass(5_000)).isEmpty)
    let ended = conversation.tell(.answerFailed(request: 5, reason: "the view has changed"))
    #expect(ended.confirmed == [3])
    #expect(ended.sent.first == .predictionFailed("the view has changed"))
  }

  @Test("a question about other blocks has a second to end by itself")
  func others() {
    var conversation = answering()
    let forget = WireMessage.forget(throughDeletion: 3, artifacts: [SHA256.hash([77])])
    #expect(stopped(conversation.hear(forget)).isEmpty)
    #expect(stopped(conversation.pass(900)).isEmpty)
    #expect(stopped(conversation.pass(100)) == [5])
    #expect(conversation.tell(.answerFailed(request: 5, reason: "gave way")).confirmed == [3])
    // One that ends in time is not disturbed, and neither is the next.
    conversation.hear(Conversation.question([[11]]), request: 6)
    conversation.answerAll()
    conversation.hear(.forget(throughDeletion: 4, artifacts: []))
    #expect(conversation.tell(.answered(request: 6, [])).confirmed == [4])
    conversation.hear(Conversation.question([[12]]), request: 7)
    conversation.answerAll()
    #expect(stopped(conversation.pass(2_000)).isEmpty)
  }

  @Test("a cancel with epoch 0 names a question, in hand, fetching or waiting")
  func cancel() {
    var conversation = answering()
    conversation.hear(Conversation.question([[11]]), request: 6)
    let waiting = conversation.hear(.cancel(epoch: 0), request: 6)
    #expect(waiting.sent == [.predictionFailed("cancelled")] && stopped(waiting).isEmpty)
    #expect(stopped(conversation.hear(.cancel(epoch: 0), request: 9)).isEmpty)
    #expect(stopped(conversation.hear(.cancel(epoch: 0), request: 5)) == [5])
    // Once is enough.
    #expect(stopped(conversation.hear(.cancel(epoch: 0), request: 5)).isEmpty)
    conversation.tell(.answerFailed(request: 5, reason: "cancelled"))
    conversation.hear(Conversation.question([[11], [12]]), request: 7)
    #expect(conversation.hear(.cancel(epoch: 0), request: 7).sent.isEmpty)
    #expect(conversation.answerAll().sent == [.predictionFailed("cancelled")])
  }

  @Test("a cancel of a question is none of a lease")
  func notTheLease() {
    var conversation = Conversation.training()
    let effects = conversation.hear(.cancel(epoch: 0), request: 7)
    #expect(effects.isEmpty)
  }
}
