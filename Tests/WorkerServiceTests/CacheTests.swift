import CoordinatorCore
import Hashing
import Numerics
import Testing
import Training
import Unlearning
import WorkerCore
import WorkerService

@Suite("The budget for activations") struct CacheTests {
  /// A sequence of four stages over the tiny BERT, cumulative, a layer a stage.
  struct Chain {
    static let texts = [
      ["a small bird", "two dogs ran far", "the big tree"], ["it rained", "we ate"],
      ["a big dog", "the small tree ran", "we"], ["birds ate the tree"],
    ]
    static let slices = texts.enumerated().map { slice, texts in
      let records = texts.enumerated().map { index, text in
        Record(
          id: try! RecordID("s\(slice)r\(index)"), text: text, label: index % 2 == 0 ? "a" : "b")
      }
      return TrainingTask.Slice(
        digest: LineageDigest.slice(recordDigests: records.map(\.digest)), records: records)
    }

    let memory: RecordMemory
    let training: StageTraining

    /// - Parameter stageByteLimit: what a stage may hold at once.
    init(byteLimit: Int, stageByteLimit: Int? = nil, headStart: HeadStart = .zero) throws {
      memory = RecordMemory(segmentByteLimit: byteLimit)
      training = try Stage.training(
        epochs: 3, headStart: headStart, memory: memory, byteLimit: stageByteLimit)
    }

    /// - Parameter order: the slices of the sequence.
    func train(order: [Int] = [0, 1, 2, 3], betweenStages: () -> Void = {}) throws -> [[UInt8]] {
      var artifacts: [[UInt8]] = []
      for stage in 1...order.count {
        let read = order.prefix(stage).map { Self.slices[$0] }
        let assignment = BlockAssignment(
          slot: BlockSlot(shard: 0, sequence: 0, stage: stage),
          key: BlockKey(SHA256.hash([UInt8(stage)])), layers: 4 - stage..<5 - stage,
          seed: UInt64(stage), ancestors: artifacts.map { SHA256.hash($0) },
          slices: read.enumerated().map { index, slice in
            SliceReference(
              location: SliceLocation(shard: 0, slice: order[index]), digest: slice.digest)
          })
        let task = TrainingTask(
          epoch: UInt64(stage), assignment: assignment, slices: read, ancestors: artifacts,
          checkpoint: nil)
        let (artifact, work) = try training.train(
          task, for: memory.begin(), beforeSlice: {}, onStep: { _, _ in })
        #expect(work.steps > 0)
        artifacts.append(artifact)
        betweenStages()
      }
      return artifacts
    }
  }

  @Test("a head starts in closed form from the same bits, whole and in windows")
  func closedForm() throws {
    let whole = try Chain(byteLimit: 1 << 30, headStart: .closedForm).train()
    #expect(whole != (try Chain(byteLimit: 1 << 30).train()))
    for stageByteLimit in [1, 5_000] {
      #expect(
        try Chain(byteLimit: 0, stageByteLimit: stageByteLimit, headStart: .closedForm).train()
          == whole)
    }
  }

  @Test(
    "blocks have the same bits with no memory, a little, and plenty",
    arguments: [1, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 1 << 30])
  func sameBits(byteLimit: Int) throws {
    let without = try Chain(byteLimit: 0)
    let expected = try without.train()
    #expect(without.memory.segmentFigures.hits == 0)
    #expect(without.memory.segmentFigures.byteCount == 0)
    let chain = try Chain(byteLimit: byteLimit)
    #expect(try chain.train() == expected)
    // A second sequence finds what the first has left.
    #expect(try chain.train(order: [2, 3, 0, 1]) == (try without.train(order: [2, 3, 0, 1])))
    #expect(try chain.train() == expected, "all over again, from what is left")
    #expect(chain.memory.segmentFigures.byteCount <= byteLimit)
  }

  @Test("with room, a slice goes through each frozen layer once in a sequence")
  func once() throws {
    let chain = try Chain(byteLimit: 1 << 30)
    _ = try chain.train()
    // Stages 1 to 3 ask for 1, 2 and 3 slices, each new one for the first time.
    #expect(chain.memory.segmentFigures.misses == 3)
    #expect(chain.memory.segmentFigures.hits == 3)
    #expect(chain.memory.segmentFigures.evictions == 0)
    let use = chain.memory.begin()
    for (slice, layers) in [(0, [3, 2, 1]), (1, [2, 1]), (2, [1])] {
      for layer in layers {
        let key = RecordMemory.SegmentKey(slice: Chain.slices[slice].digest, layer: layer)
        let segment = try #require(chain.memory.segment(key, for: use))
        let model = try LoadedModel(folder: Stage.backbone)
        let tokens = Chain.slices[slice].records.map {
          model.tokens($0.text, pair: nil, maximumTokens: 256)
        }
        let alone = try model.encoder.activations(of: tokens, below: layer)
        #expect(segment.activations.hidden.array == alone.hidden.array)
      }
    }
  }

  @Test(
    "a stage that may not hold its records comes to the same bits in windows",
    arguments: [0, 1_000, 4_000, 8_000], [0, 3_000, 1 << 30])
  func windows(stageByteLimit: Int, byteLimit: Int) throws {
    let expected = try Chain(byteLimit: 0).train()
    let chain = try Chain(byteLimit: byteLimit, stageByteLimit: stageByteLimit)
    #expect(try chain.train() == expected)
  }

  @Test("a stage in windows goes on at every step")
  func windowsResume() throws {
    let whole = try Stage.train(epochs: 4)
    var states: [[UInt8]] = []
    let windowed = try Stage.training(epochs: 4, byteLimit: 0)
    let (artifact, work) = try windowed.train(
      Stage.task(), for: RecordMemory().begin(), beforeSlice: {},
      onStep: { progress, take in
        #expect(progress.step == states.count && progress.totalStepCount == 8)
        states.append(take())
      })
    #expect(artifact == whole.artifact && work.steps == 8 && work.examples == 20)
    for (step, state) in states.enumerated() {
      var steps: [Int] = []
      let (resumed, _) = try windowed.train(
        Stage.task(checkpoint: state), for: RecordMemory().begin(), beforeSlice: {},
        onStep: { progress, _ in steps.append(progress.step) })
      #expect(resumed == artifact && steps == Array(step + 1..<8))
    }
  }

  @Test("a purge between two stages leaves nothing, and changes no bit")
  func purged() throws {
    let expected = try Chain(byteLimit: 0).train()
    let chain = try Chain(byteLimit: 1 << 30)
    let artifacts = try chain.train {
      chain.memory.forget(artifacts: [])
      #expect(chain.memory.segmentFigures.byteCount == 0)
    }
    #expect(artifacts == expected)
    #expect(chain.memory.segmentFigures.hits == 0 && chain.memory.segmentFigures.misses == 6)
  }
}
