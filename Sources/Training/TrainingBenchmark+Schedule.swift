internal import ModelFormats
internal import Numerics
import Tokenization
internal import Unlearning

extension TrainingBenchmark {
  /// A whole sequence, measured stage by stage.
  package struct Schedule: Sendable {
    package struct Stage: Sendable {
      /// From 1, the top group of layers.
      package var stage: Int
      /// Records read in one epoch.
      package var records: Int
      package var statistics: TrainingStatistics
      /// What running the frozen layers below cost.
      package var prefixSeconds: Double
    }

    package var caseName: String
    /// Tokens of each record, slice after slice.
    package var lengths: [Int]
    package var stages: [Stage]
    /// From the first record's first layer to the last stage's last step.
    package var seconds: Double
  }

  /// Trains a sequence from its first stage to its last as a worker does: cumulative data, one
  /// group of layers a stage from the top down, each stage on top of the ones before.
  ///
  /// - Parameter sliceCount: slices, and stages; at most as many as the encoder has layers.
  package func measureSchedule(
    _ benchmark: Case, sliceCount: Int, recordsPerSlice: Int, epochs: Int
  ) throws -> Schedule {
    let groups = RunPlan.topDownGroups(
      layerCount: encoder.layerCount, groupCount: sliceCount)
    let lengths = Self.lengths(benchmark, count: sliceCount * recordsPerSlice)
    let slices = (0..<sliceCount).map { slice in
      Array(lengths[slice * recordsPerSlice..<(slice + 1) * recordsPerSlice])
    }
    let sequences = slices.map(tokens)
    let recipe = TrainingRecipe(
      labels: ["0", "1"], rank: 16, alpha: 32, epochs: epochs, batchSize: Self.batchSize)
    let ids = lengths.indices.map { Array("record \($0)".utf8) }
    let positions = lengths.indices.map {
      RecordPosition(segment: $0 / recordsPerSlice, index: $0 % recordsPerSlice)
    }
    var stages: [Schedule.Stage] = []
    var kept: [[Int: PrefixActivations]] = []
    var (adapters, head): ([Adapter], ClassifierHead?) = ([], nil)
    let start = profileNanoseconds()
    for (index, layers) in groups.enumerated() {
      let trainer = try BlockTrainer(
        encoder: encoder, recipe: recipe, layers: Array(layers), frozenAdapters: adapters,
        head: head, seed: UInt64(index))
      let stageStart = profileNanoseconds()
      // A slice is run once, when it is first read, and kept where it enters this stage's layers
      // and those of the stages to come.
      let entries = groups[index...].map(\.lowerBound).reversed()
      kept.append(
        Dictionary(
          uniqueKeysWithValues: zip(
            entries, try encoder.activations(of: sequences[index], entering: Array(entries)))))
      let segments = kept.map { slice in
        let activations = slice[trainer.lowestLayer]!
        return TrainingSegment(
          targets: (0..<activations.recordCount).map { .label($0 % 2) }, activations: activations)
      }
      let prefixSeconds = Double(profileNanoseconds() - stageStart) / 1e9
      let count = (index + 1) * recordsPerSlice
      let block = try trainer.train(
        on: segments,
        order: { epoch in
          EpochOrder.positions(of: Array(ids[..<count]), seed: UInt64(index), epoch: epoch)
            .map { positions[$0] }
        }, onStep: { _ in })
      adapters += block.adapters
      head = block.head
      stages.append(
        Schedule.Stage(
          stage: index + 1, records: count, statistics: block.statistics,
          prefixSeconds: prefixSeconds))
    }
    return Schedule(
      caseName: benchmark.name, lengths: lengths, stages: stages,
      seconds: Double(profileNanoseconds() - start) / 1e9)
  }
}
