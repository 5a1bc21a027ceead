import CoordinatorCore
import Forecast
import Testing
import Unlearning

@Suite("Capacity forecasts") struct CapacityTests {
  static func settings(
    shards: Int = 2, slices: Int = 3, sequences: Int = 2, policy: RepairPolicy = .eager,
    workers: Int = 1, perHour: Double, seconds: Double = 60, hours: Double = 100
  ) -> CapacityForecast.Settings {
    CapacityForecast.Settings(
      shardCount: shards, sliceCount: slices, sequenceCount: sequences, stageData: .cumulative,
      policy: policy, workerCount: workers, deletionsPerHour: perHour, secondsPerSlice: seconds,
      hours: hours, seed: 1)
  }

  static func run(_ settings: CapacityForecast.Settings) throws -> CapacityForecast.Result {
    var forecast = try CapacityForecast(settings)
    return forecast.run()
  }

  @Test("without deletions everything serves, and nobody works")
  func quiet() throws {
    let result = try Self.run(Self.settings(perHour: 0))
    #expect(result.shareAtLeast == [1, 1, 1, 1] && result.utilization == 0)
    #expect(result.samples.allSatisfy { $0.meanDepth == 3 && $0.masked == 0 })
    #expect(result.deletionCount == 0 && result.repairSeconds.isEmpty)
  }

  @Test("a single block is gone for as long as its training takes")
  func oneBlock() throws {
    let result = try Self.run(
      Self.settings(shards: 1, slices: 1, sequences: 1, perHour: 6, hours: 1_000))
    // 6,000 expected; a fifth of a per cent of them come within the minute of the one before.
    #expect((5_700...6_300).contains(result.deletionCount))
    #expect(result.repairedCount >= result.deletionCount - 1)
    // One that came while the block was gone masked nothing, and its repair took no time.
    #expect(result.repairSeconds[result.repairSeconds.count / 2] == 60)
    #expect((0.085...0.115).contains(result.utilization))
    // Served unless one came within the last minute: e^−0.1.
    #expect(abs(result.shareAtLeast[1] - 0.905) < 0.02)
  }

  @Test("nothing is repaired by hand when there is no hand")
  func manual() throws {
    let result = try Self.run(Self.settings(policy: .manual, perHour: 10))
    #expect(result.shareAtLeast[1] < 0.1 && result.samples.last?.meanDepth == 0)
    #expect(result.utilization == 0)
  }

  @Test("policies save work and cost depth")
  func policies() throws {
    func result(_ policy: RepairPolicy) throws -> CapacityForecast.Result {
      try Self.run(Self.settings(policy: policy, workers: 2, perHour: 20))
    }
    let eager = try result(.eager)
    let batched = try result(.batched(quiet: 600_000, maximumAge: 3_600_000))
    let shallow = try result(.depthBelow(2))
    #expect(eager.shareAtLeast[3] > batched.shareAtLeast[3])
    #expect(eager.utilization > batched.utilization)
    #expect(eager.utilization > shallow.utilization && shallow.shareAtLeast[1] > 0.9)
  }

  @Test("more workers serve deeper, and a forecast is the same twice")
  func workers() throws {
    let one = try Self.run(Self.settings(workers: 1, perHour: 30))
    let four = try Self.run(Self.settings(workers: 4, perHour: 30))
    #expect(four.shareAtLeast[3] > one.shareAtLeast[3])
    #expect(one == (try Self.run(Self.settings(workers: 1, perHour: 30))))
  }
}
