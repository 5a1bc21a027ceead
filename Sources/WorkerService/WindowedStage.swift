import ModelFormats
import Tokenization
import Training
import Unlearning
import WorkerCore

/// A stage whose activations are more than this worker may hold at once.
///
/// An epoch is cut into windows: as many batches as fit. For each, its records go through the
/// frozen layers again. A record has the same bits in any company, so the stage has those of one
/// that holds everything, in the memory of one window.
struct WindowedStage {
  let model: LoadedModel
  let slices: [TrainingTask.Slice]
  /// By slice, one per record.
  let targets: [[Target]]
  let sequences: [[TokenSequence]]
  let layer: Int
  let batchSize: Int
  let epochCount: Int
  /// At least one batch is held whatever it takes.
  let byteLimit: Int

  private struct WindowEnd: Error {}

  func key(ofSlice slice: Int) -> RecordMemory.SegmentKey {
    RecordMemory.SegmentKey(slice: slices[slice].digest, layer: layer)
  }

  /// Trains from a step to the last, as `BlockTrainer.train` does.
  ///
  /// - Parameters:
  ///   - known: what is kept of a slice at the layer or below.
  ///   - beforeSlice: called before a slice goes through the frozen layers.
  func train(
    _ trainer: BlockTrainer, from firstStep: Int, order: (_ epoch: Int) -> [RecordPosition],
    known: (Int) -> PrefixActivations?, beforeSlice: () throws -> Void,
    onStep: (TrainingProgress) throws -> Void
  ) throws -> TrainedBlock {
    let batchCount = (targets.reduce(0) { $0 + $1.count } + batchSize - 1) / batchSize
    let stepCount = epochCount * batchCount
    var step = firstStep
    while step < stepCount {
      let epoch = step / batchCount
      let positions = order(epoch)
      let start = step % batchCount * batchSize
      let window = positions[start..<windowEnd(positions, from: start)]
      let (segments, places) = try load(window, known: known, beforeSlice: beforeSlice)
      // Records outside the window are not read; any that is there stands for them.
      let somewhere = places[0]
      let read = positions.indices.map {
        window.indices.contains($0) ? places[$0 - start] : somewhere
      }
      let end = step + (window.count + batchSize - 1) / batchSize
      do {
        return try trainer.train(
          on: segments, order: { _ in read },
          onStep: { progress in
            try onStep(progress)
            if progress.step + 1 == end, end < stepCount { throw WindowEnd() }
          })
      } catch is WindowEnd {
        step = end
      }
    }
    return try trainer.train(on: [], order: { _ in [] }, onStep: { _ in })
  }

  /// Starts the head in closed form from all records, in the order of the first epoch.
  func startHead(
    of trainer: BlockTrainer, order: [RecordPosition], known: (Int) -> PrefixActivations?,
    beforeSlice: () throws -> Void
  ) throws {
    var start = 0
    while start < order.count {
      let window = order[start..<windowEnd(order, from: start)]
      let (segments, places) = try load(window, known: known, beforeSlice: beforeSlice)
      try trainer.observe(places, in: segments)
      start = window.endIndex
    }
    trainer.startHead()
  }

  /// Where the batches that fit from a position on end.
  private func windowEnd(_ positions: [RecordPosition], from start: Int) -> Int {
    var (end, byteCount) = (start, 0)
    while end < positions.count {
      let next = min(end + batchSize, positions.count)
      byteCount += positions[end..<next].reduce(0) {
        $0 + sequences[$1.segment][$1.index].count * model.encoder.rowByteCount
      }
      if byteCount > byteLimit, end > start { break }
      end = next
    }
    return end
  }

  /// The window's records, a segment a slice, and where each of them stands there.
  private func load(
    _ window: ArraySlice<RecordPosition>, known: (Int) -> PrefixActivations?,
    beforeSlice: () throws -> Void
  ) throws -> (segments: [TrainingSegment], places: [RecordPosition]) {
    var wanted = slices.map { _ in [Int]() }
    for position in window { wanted[position.segment].append(position.index) }
    var places: [RecordPosition: Int] = [:]
    let segments = try slices.indices.map { slice in
      wanted[slice].sort()
      for (place, index) in wanted[slice].enumerated() {
        places[RecordPosition(segment: slice, index: index)] = place
      }
      if !wanted[slice].isEmpty { try beforeSlice() }
      return TrainingSegment(
        targets: wanted[slice].map { targets[slice][$0] },
        activations: try model.encoder.activations(
          of: wanted[slice].map { sequences[slice][$0] }, entering: [layer], above: known(slice),
          at: wanted[slice])[0])
    }
    return (
      segments,
      window.map { RecordPosition(segment: $0.segment, index: places[$0] ?? 0) }
    )
  }
}
