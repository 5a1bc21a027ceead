import Foundation
import Hashing
import ModelFormats
import Numerics
import ServiceSupport
import Testing
import Training
import WorkerCore
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
      targets: [.label(0)], activations: try model.encoder.activations(of: [tokens], below: 1))
  }

  /// A member without adapters.
  static func member() throws -> RecordMemory.Member {
    let model = try LoadedModel(folder: backbone)
    return RecordMemory.Member(
      encoder: try model.encoder.adapted(by: []),
      head: .zero(labelCount: 2, hiddenSize: model.files.configuration.hiddenSize))
  }

  @Test("drops segments, and members with purged artifacts, at once, and keeps the others")
  func drops() throws {
    let memory = RecordMemory()
    let use = memory.begin()
    memory.keep(try Self.member(), [Self.digest, Self.other], for: use)
    memory.keep(try Self.member(), [Self.other], for: use)
    memory.keep(try Self.segment(), Self.key, for: use)
    #expect(memory.segment(Self.key, for: memory.begin()) != nil)
    memory.forget(artifacts: [Self.digest])
    #expect(memory.member([Self.digest, Self.other]) == nil)
    #expect(memory.member([Self.other]) != nil)
    #expect(memory.segment(Self.key, for: memory.begin()) == nil)
  }

  @Test("takes nothing from a use that began before the purge")
  func refusesLatecomers() throws {
    let memory = RecordMemory()
    let before = memory.begin()
    memory.forget(artifacts: [])
    memory.keep(try Self.member(), [Self.other], for: before)
    memory.keep(try Self.segment(), Self.key, for: before)
    #expect(memory.member([Self.other]) == nil)
    #expect(memory.segment(Self.key, for: memory.begin()) == nil)
    memory.keep(try Self.member(), [Self.other], for: memory.begin())
    #expect(memory.member([Self.other]) != nil)
  }

  @Test("holds the only reference: what is dropped is freed")
  func frees() throws {
    let memory = RecordMemory()
    weak var buffer: FloatBuffer?
    do {
      let segment = try Self.segment()
      buffer = segment.activations.hidden
      memory.keep(segment, Self.key, for: memory.begin())
    }
    #expect(buffer != nil)
    memory.forget(artifacts: [])
    #expect(buffer == nil)
  }

  @Test("lends the memory of the last question until a purge")
  func workplace() throws {
    let encoder = try LoadedModel(folder: Self.backbone).encoder
    let memory = RecordMemory()
    let use = memory.begin()
    let first = memory.takeWorkplace(encoder)
    memory.putBack(first, for: use)
    #expect(memory.takeWorkplace(encoder) === first)
    #expect(memory.takeWorkplace(encoder) !== first, "lent to one at a time")
    memory.putBack(first, for: use)
    memory.forget(artifacts: [])
    #expect(memory.takeWorkplace(encoder) !== first)
    memory.putBack(first, for: use)
    #expect(memory.takeWorkplace(encoder) !== first, "it may hold what was purged")
    memory.putBack(first, for: memory.begin())
    memory.forgetAll()
    #expect(memory.takeWorkplace(encoder) !== first)
  }

  @Test("knows nothing after its session")
  func forgetsAll() throws {
    let memory = RecordMemory()
    let use = memory.begin()
    memory.keep(try Self.member(), [Self.other], for: use)
    memory.keep(try Self.segment(), Self.key, for: use)
    memory.forgetAll()
    memory.keep(try Self.member(), [Self.digest], for: use)
    #expect(memory.member([Self.other]) == nil && memory.member([Self.digest]) == nil)
    #expect(memory.segment(Self.key, for: memory.begin()) == nil)
  }
}
