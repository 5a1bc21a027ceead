import ByteCoding
import Hashing
import Testing
import Training
import Unlearning

@Suite("Checkpoint bytes") struct CheckpointTests {
  static let key = BlockKey(SHA256.hash([1]))

  static var sample: TrainingCheckpoint {
    var statistics = TrainingStatistics()
    statistics.steps = 2
    statistics.examples = 5
    statistics.tokens = 40
    statistics.seconds = 0.5
    statistics.gemmSeconds = 0.25
    statistics.floatingPointOperations = 1e6
    return TrainingCheckpoint(
      stepsDone: 2, losses: [1.5, 0.1], parameters: [0.5, -0, .leastNonzeroMagnitude],
      firstMoments: [1, -2, 3], secondMoments: [0, 1, 2], statistics: statistics)
  }

  @Test("come back to the bit")
  func roundTrip() throws {
    let bytes = Self.sample.encoded(for: Self.key)
    let read = try TrainingCheckpoint(encoded: bytes, for: Self.key)
    #expect(read == Self.sample)
    #expect(read.parameters.map(\.bitPattern) == Self.sample.parameters.map(\.bitPattern))
    #expect(read.encoded(for: Self.key) == bytes)
  }

  @Test("of another block, cut or with more behind them are refused")
  func refused() {
    let bytes = Self.sample.encoded(for: Self.key)
    #expect(throws: DecodingFailure.self) {
      try TrainingCheckpoint(encoded: bytes, for: BlockKey(SHA256.hash([2])))
    }
    for end in bytes.indices {
      #expect(throws: DecodingFailure.self) {
        try TrainingCheckpoint(encoded: Array(bytes[..<end]), for: Self.key)
      }
    }
    #expect(throws: DecodingFailure.self) {
      try TrainingCheckpoint(encoded: bytes + [0], for: Self.key)
    }
  }

  @Test("with any byte changed are read as another or refused, never a trap")
  func changed() {
    let bytes = Self.sample.encoded(for: Self.key)
    for index in bytes.indices {
      for value: UInt8 in [0, 0x7f, 0xff] where bytes[index] != value {
        var other = bytes
        other[index] = value
        let read = try? TrainingCheckpoint(encoded: other, for: Self.key)
        #expect(read == nil || read?.encoded(for: Self.key) == other)
      }
    }
  }

  @Test("hold no number that training cannot come to")
  func impossible() {
    let changes: [(inout TrainingCheckpoint) -> Void] = [
      { $0.losses[0] = .nan }, { $0.losses[1] = .infinity }, { $0.parameters[0] = .nan },
      { $0.firstMoments[2] = -.infinity }, { $0.secondMoments[1] = -1 },
      { $0.statistics.seconds = .nan }, { $0.statistics.tokens = .max },
    ]
    for change in changes {
      var checkpoint = Self.sample
      change(&checkpoint)
      #expect(throws: DecodingFailure.self) {
        try TrainingCheckpoint(encoded: checkpoint.encoded(for: Self.key), for: Self.key)
      }
    }
  }

  @Test("carry what the steps have cost to whoever goes on")
  func statistics() throws {
    let fixture = try Fixture.tiny.get()
    let segments = try ExactnessTests.parts(fixture).map {
      try ExactnessTests.segment(fixture, $0, below: 2)
    }
    var states: [[UInt8]] = []
    let trainer = try ExactnessTests.trainer(fixture)
    let whole = try trainer.train(
      on: segments, order: ExactnessTests.order(segments),
      onStep: { _ in states.append(trainer.checkpoint.encoded(for: Self.key)) })
    for state in states {
      let resumed = try ExactnessTests.trainer(fixture, seed: 1)
      try resumed.restore(try TrainingCheckpoint(encoded: state, for: Self.key))
      let block = try resumed.train(
        on: segments, order: ExactnessTests.order(segments), onStep: { _ in })
      #expect(ExactnessTests.bits(block) == ExactnessTests.bits(whole))
      #expect(block.losses == whole.losses)
      #expect(block.statistics.steps == whole.statistics.steps)
      #expect(block.statistics.examples == whole.statistics.examples)
      #expect(block.statistics.tokens == whole.statistics.tokens)
    }
  }
}
