import CoordinatorCore
import Hashing
import Testing
import WireFormat
import WorkerCore

@Suite("Confirmations of purges") struct ConfirmationTests {
  static let cancelled = Failure(kind: .cancelled, reason: "cancelled")

  enum Work: Sendable, CaseIterable {
    case none, question, fetchingQuestion, waitingQuestion
    case fetchingLease, liveLease, cancelledLease, cancelledFetch, failedFetch, uploadingLease
    case busyUpload, cancelledUpload
  }

  struct Row: Sendable {
    let work: Work
    let confirmsAtOnce: Bool
    let because: String
  }

  static let rows = [
    Row(work: .none, confirmsAtOnce: true, because: "what was kept is gone already"),
    Row(work: .question, confirmsAtOnce: false, because: "it may hold a dropped artifact"),
    Row(
      work: .fetchingQuestion, confirmsAtOnce: false,
      because: "a dropped artifact may be on its way to it"),
    Row(
      work: .waitingQuestion, confirmsAtOnce: false,
      because: "the one in hand counts, the one that waits holds nothing"),
    Row(
      work: .fetchingLease, confirmsAtOnce: true, because: "it takes retained records only"),
    Row(work: .liveLease, confirmsAtOnce: true, because: "its key names retained records only"),
    Row(work: .cancelledLease, confirmsAtOnce: false, because: "its step still reads records"),
    Row(
      work: .cancelledFetch, confirmsAtOnce: false,
      because: "an older version of a slice may be on its way to it"),
    Row(
      work: .failedFetch, confirmsAtOnce: false,
      because: "nobody watches what is still on its way to it"),
    Row(
      work: .uploadingLease, confirmsAtOnce: false,
      because: "once the upload is taken there is no lease left to cancel"),
    Row(
      work: .busyUpload, confirmsAtOnce: true,
      because: "the coordinator said that it did not take it, so the lease stands"),
    Row(
      work: .cancelledUpload, confirmsAtOnce: false,
      because: "it may be taken yet, and its lease was cancelled"),
  ]

  @Test("come when nothing can hold purged records any more", arguments: rows)
  func confirms(_ row: Row) {
    var conversation = Conversation.begun()
    func end() -> [WorkerMachine.Effect] {
      switch row.work {
      case .none, .fetchingLease: []
      case .question, .waitingQuestion:
        conversation.tell(.answered(request: 5, []))
      case .cancelledFetch, .failedFetch: conversation.answerAll()
      case .fetchingQuestion:
        conversation.answerAll() + conversation.tell(.answered(request: 5, []))
      case .liveLease, .cancelledLease:
        conversation.tell(.trainingFailed(epoch: 7, Self.cancelled))
      case .uploadingLease: conversation.hear(.uploadRefused(epoch: 7, .staleLease))
      case .busyUpload: conversation.hear(.cancel(epoch: 7))
      // Not offered again: nothing could be done with it.
      case .cancelledUpload: conversation.hear(.uploadRefused(epoch: 7, .busy))
      }
    }
    switch row.work {
    case .none: break
    case .question, .waitingQuestion:
      conversation.hear(Conversation.question([[10]]), request: 5)
      conversation.answerAll()
      if row.work == .waitingQuestion {
        conversation.hear(Conversation.question([[11]]), request: 6)
      }
    case .fetchingQuestion: conversation.hear(Conversation.question([[10]]), request: 5)
    case .fetchingLease: conversation.hear(.lease(Conversation.lease(7)))
    case .cancelledFetch:
      conversation.hear(.lease(Conversation.lease(7)))
      conversation.hear(.cancel(epoch: 7))
    case .failedFetch:
      conversation.hear(.lease(Conversation.lease(7)))
      conversation.answerNext(with: .slice([]))
    case .liveLease, .cancelledLease, .uploadingLease, .busyUpload, .cancelledUpload:
      conversation = Conversation.training()
      if row.work == .cancelledLease { conversation.hear(.cancel(epoch: 7)) }
      if [.uploadingLease, .busyUpload, .cancelledUpload].contains(row.work) {
        conversation.tell(.trained(epoch: 7, artifact: [5], Conversation.work))
      }
      if row.work == .busyUpload { conversation.hear(.uploadRefused(epoch: 7, .busy)) }
      if row.work == .cancelledUpload { conversation.hear(.cancel(epoch: 7)) }
    }
    let atOnce = conversation.hear(.forget(throughDeletion: 3, artifacts: []))
    #expect(atOnce.confirmed == (row.confirmsAtOnce ? [3] : []), "\(row.because)")
    #expect(end().confirmed == (row.confirmsAtOnce ? [] : [3]))
  }

  @Test("wait for all work, and come in the order of the deletions")
  func waitsForAll() {
    var conversation = Conversation.training(epoch: 1)
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.answerAll()
    conversation.hear(.cancel(epoch: 1))
    #expect(conversation.hear(.forget(throughDeletion: 1, artifacts: [])).confirmed.isEmpty)
    let ended = conversation.tell(.trainingFailed(epoch: 1, Self.cancelled))
    #expect(ended.failed == [1] && ended.confirmed.isEmpty)
    #expect(conversation.tell(.answered(request: 5, [])).confirmed == [1])
    conversation.hear(Conversation.question([[11]]), request: 6)
    conversation.answerAll()
    #expect(conversation.hear(.forget(throughDeletion: 2, artifacts: [])).confirmed.isEmpty)
    #expect(conversation.tell(.answered(request: 6, [])).confirmed == [2])
  }

  @Test("a question that began after a purge does not hold it back")
  func lateQuestion() {
    var conversation = Conversation.training(epoch: 1)
    conversation.hear(.cancel(epoch: 1))
    conversation.hear(.forget(throughDeletion: 1, artifacts: []))
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.answerAll()
    #expect(conversation.hear(.forget(throughDeletion: 2, artifacts: [])).confirmed.isEmpty)
    #expect(conversation.tell(.trainingFailed(epoch: 1, Self.cancelled)).confirmed == [1])
    #expect(conversation.tell(.answered(request: 5, [])).confirmed == [2])
  }

  @Test("an earlier confirmation that is still owed holds back a later one")
  func inOrder() {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.answerAll()
    #expect(conversation.hear(.forget(throughDeletion: 1, artifacts: [])).confirmed.isEmpty)
    #expect(conversation.hear(.forget(throughDeletion: 2, artifacts: [])).confirmed.isEmpty)
    #expect(conversation.tell(.answered(request: 5, [])).confirmed == [1, 2])
  }

  @Test("a lost lease is one that was cancelled: the next begins only after its step")
  func lostLease() {
    var conversation = Conversation.training()
    conversation.hear(.cancel(epoch: 7))
    let offered = conversation.hear(.lease(Conversation.lease(8)))
    #expect(offered.failed == [8] && offered.task == nil)
    #expect(conversation.hear(.forget(throughDeletion: 3, artifacts: [])).confirmed.isEmpty)
    #expect(conversation.tell(.trainingFailed(epoch: 7, Self.cancelled)).confirmed == [3])
  }

  @Test("purged artifacts are fetched again, others are not")
  func drops() {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([[10], [11]]), request: 5)
    conversation.answerAll()
    conversation.tell(.answered(request: 5, []))
    let effects = conversation.hear(
      .forget(throughDeletion: 1, artifacts: [SHA256.hash([10])]))
    #expect(effects.first == .forget(artifacts: [SHA256.hash([10])]), "before the confirmation")
    #expect(effects.confirmed == [1])
    let next = conversation.hear(Conversation.question([[10], [11]]), request: 6)
    #expect(next.sent == [.fetchArtifact(SHA256.hash([10]))])
  }

  @Test("work that began before a purge puts nothing in after it")
  func refusesLatecomers() {
    var conversation = Conversation.begun()
    conversation.hear(.lease(Conversation.lease(1)))
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.hear(.forget(throughDeletion: 1, artifacts: []))
    conversation.answerAll()
    conversation.tell(.answered(request: 5, []))
    let next = conversation.hear(Conversation.question([[10], Conversation.ancestor]), request: 6)
    #expect(next.sent.count == 2, "neither artifact was kept")
  }

  @Test("a question about purged artifacts is given up, wherever it stands")
  func questionsOfThePast() {
    var conversation = Conversation.begun()
    conversation.hear(Conversation.question([[10], [11]]), request: 5)
    conversation.hear(Conversation.question([[10]]), request: 6)
    conversation.hear(Conversation.question([[12]]), request: 7)
    conversation.answerNext()
    let effects = conversation.hear(
      .forget(throughDeletion: 1, artifacts: [SHA256.hash([10])]))
    #expect(effects.sent == [.predictionFailed("the view has changed")], "the one that waits")
    let answered = conversation.answerNext()
    #expect(
      answered.prefix(2) == [
        .send(.predictionFailed("the view has changed"), request: 5),
        .send(.forgotten(throughDeletion: 1), request: 0),
      ])
    #expect(conversation.answerAll().answerTask?.request == 7)
  }

  @Test("a drain that gives up a lease confirms nothing any more")
  func drained() {
    var conversation = Conversation.training()
    conversation.hear(Conversation.question([[10]]), request: 5)
    conversation.answerAll()
    conversation.hear(.cancel(epoch: 7))
    #expect(conversation.tell(.drainRequested).ending == nil, "a question is under way")
    #expect(conversation.hear(.forget(throughDeletion: 1, artifacts: [])).confirmed.isEmpty)
    // The step may still read records: only the end of the process says that it does not.
    let last = conversation.tell(.answered(request: 5, []))
    #expect(last.confirmed.isEmpty && last.ending == .drained)
  }
}
