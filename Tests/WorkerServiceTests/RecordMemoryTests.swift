import Foundation
import Hashing
import Numerics
import Testing
import Training
import WorkerService

@Suite("Record memory") struct RecordMemoryTests {
  static let digest = SHA256.hash([1])
  static let other = SHA256.hash([2])
  static let key = RecordMemory.SegmentKey(slice: digest, layer: 1)
  static let backbone = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/tiny-bert/model").path

  /// One record as it enters the tiny BERT's second layer.
  static func segment() throws -> TrainingSegment {
    let model = try LoadedModel(folder: backbone)
    let tokens = model.tokens("a small bird", pair: nil, maximumTokens: 16)
    return TrainingSegment(
      labels: [0], activations: try model.encoder.activations(of: [tokens], below: 1))
  }

  enum Work: Sendable {
    case none
    case question
    case liveLease
    case cancelledLease
    case lostLease
    case uploadingLease
  }

  struct Row: Sendable {
    let work: Work
    let confirmsAtOnce: Bool
    let because: String
  }

  static let rows = [
    Row(work: .none, confirmsAtOnce: true, because: "what was kept is gone already"),
    Row(work: .question, confirmsAtOnce: false, because: "it may hold a dropped artifact"),
    Row(work: .liveLease, confirmsAtOnce: true, because: "its key names retained records only"),
    Row(work: .cancelledLease, confirmsAtOnce: false, because: "its step still reads records"),
    Row(work: .lostLease, confirmsAtOnce: false, because: "another lease has taken its place"),
    Row(
      work: .uploadingLease, confirmsAtOnce: false,
      because: "once the upload is taken there is no lease left to cancel"),
  ]

  @Test("confirms when nothing can hold purged records any more", arguments: rows)
  func confirms(_ row: Row) {
    let memory = RecordMemory()
    var use: RecordMemory.Use?
    var liveLease: UInt64?
    switch row.work {
    case .none: break
    case .question: use = memory.begin(.question)
    case .liveLease, .uploadingLease, .cancelledLease, .lostLease:
      use = memory.begin(.lease(epoch: 7))
      liveLease = row.work == .cancelledLease ? nil : row.work == .lostLease ? 8 : 7
      if row.work == .uploadingLease, let use { memory.beginUpload(use) }
    }
    let atOnce = memory.forget(throughDeletion: 3, artifacts: [], liveLease: liveLease)
    #expect(atOnce == (row.confirmsAtOnce ? [3] : []), "\(row.because)")
    if let use { #expect(memory.end(use) == (row.confirmsAtOnce ? [] : [3])) }
  }

  @Test("waits for every use, and confirms in the order of the deletions")
  func waitsForAll() {
    let memory = RecordMemory()
    let question = memory.begin(.question)
    let lease = memory.begin(.lease(epoch: 1))
    #expect(memory.forget(throughDeletion: 1, artifacts: [], liveLease: nil).isEmpty)
    let late = memory.begin(.question)
    #expect(memory.forget(throughDeletion: 2, artifacts: [], liveLease: nil).isEmpty)
    #expect(memory.end(lease).isEmpty)
    #expect(memory.end(question) == [1], "the late question cannot hold what 1 purged")
    #expect(memory.end(late) == [2])
  }

  @Test("an earlier confirmation that is still owed holds back a later one")
  func inOrder() {
    let memory = RecordMemory()
    let lease = memory.begin(.lease(epoch: 1))
    #expect(memory.forget(throughDeletion: 1, artifacts: [], liveLease: nil).isEmpty)
    #expect(memory.forget(throughDeletion: 2, artifacts: [], liveLease: 1).isEmpty)
    #expect(memory.end(lease) == [1, 2])
  }

  @Test("drops segments and the purged artifacts at once, and keeps the others")
  func drops() throws {
    let memory = RecordMemory()
    let use = memory.begin(.question)
    memory.keep([1], Self.digest, for: use)
    memory.keep([2], Self.other, for: use)
    memory.keep(try Self.segment(), Self.key, for: use)
    #expect(memory.segment(Self.key) != nil)
    _ = memory.forget(throughDeletion: 1, artifacts: [Self.digest], liveLease: nil)
    #expect(memory.artifact(Self.digest) == nil)
    #expect(memory.artifact(Self.other) == [2])
    #expect(memory.segment(Self.key) == nil)
  }

  @Test("takes nothing from a use that began before the purge")
  func refusesLatecomers() throws {
    let memory = RecordMemory()
    let before = memory.begin(.lease(epoch: 1))
    _ = memory.forget(throughDeletion: 1, artifacts: [], liveLease: 1)
    memory.keep([1], Self.digest, for: before)
    memory.keep(try Self.segment(), Self.key, for: before)
    #expect(memory.artifact(Self.digest) == nil && memory.segment(Self.key) == nil)
    let after = memory.begin(.lease(epoch: 2))
    memory.keep([1], Self.digest, for: after)
    #expect(memory.artifact(Self.digest) == [1])
  }

  @Test("holds the only reference: what is dropped is freed")
  func frees() throws {
    let memory = RecordMemory()
    weak var buffer: FloatBuffer?
    do {
      let segment = try Self.segment()
      buffer = segment.activations.hidden
      memory.keep(segment, Self.key, for: memory.begin(.lease(epoch: 1)))
    }
    #expect(buffer != nil)
    _ = memory.forget(throughDeletion: 1, artifacts: [], liveLease: nil)
    #expect(buffer == nil)
  }

  @Test("knows nothing after its session")
  func forgetsAll() throws {
    let memory = RecordMemory()
    let use = memory.begin(.question)
    memory.keep([1], Self.digest, for: use)
    memory.keep(try Self.segment(), Self.key, for: use)
    memory.forgetAll()
    memory.keep([2], Self.other, for: use)
    #expect(memory.artifact(Self.digest) == nil && memory.artifact(Self.other) == nil)
    #expect(memory.segment(Self.key) == nil)
  }
}
