import CommandLineKit
import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WorkerCore
import WorkerService

let cacheBenchCommand = Command(
  name: "cache", summary: "measure what a worker's memory for activations saves",
  discussion: """
    Trains the sequences of one shard, all stages, on texts made up for it: without any memory, \
    with memory in which every layer is computed on its own, and with one pass that keeps what \
    later stages want. All three end in the same bits, which is checked.
    """,
  options: [
    CommandOption("backbone", .path, placeholder: "DIR", required: true, help: "The backbone."),
    CommandOption("slices", .integer(1...32), default: "6", help: "Slices, and so stages."),
    CommandOption("sequences", .integer(1...32), default: "1", help: "Cyclic sequences."),
    CommandOption("records", .integer(1...10_000), default: "32", help: "Records a slice."),
    CommandOption("epochs", .integer(1...100), default: "3", help: "Epochs a stage."),
    cacheOption,
  ]
) { arguments, console in
  try pinNumerics()
  let benchmark = try CacheBenchmark(arguments)
  let limit = arguments.byteCount("cache-bytes")
  let rows = [
    try benchmark.measure("none", byteLimit: 0, looksAhead: false),
    try benchmark.measure("each layer by itself", byteLimit: limit, looksAhead: false),
    try benchmark.measure("one pass for all stages", byteLimit: limit, looksAhead: true),
  ]
  guard Set(rows.map(\.digest)).count == 1 else {
    throw ServiceError(
      .failure, "the blocks have other bits with another memory", try: "report this")
  }
  try show(CacheResult(rows: rows), arguments, console) { result in
    var table = TextTable([
      .left("memory"), .right("seconds"), .right("in frozen layers"), .right("found"),
      .right("computed"), .right("made room"), .right("held"),
    ])
    for row in result.rows {
      table.append([
        row.memory, Humanized.fixed(row.seconds, digits: 2),
        Humanized.fixed(row.frozenSeconds, digits: 2), "\(row.hits)", "\(row.misses)",
        "\(row.evictions)", Humanized.bytes(row.byteCount),
      ])
    }
    return table.text
  }
  return .ok
}

/// What `lethe bench cache` prints.
private struct CacheResult: Encodable {
  struct Row: Encodable {
    var memory: String
    var seconds: Double
    /// Outside the training steps: reading texts and passing the frozen layers.
    var frozenSeconds: Double
    var hits: Int
    var misses: Int
    var evictions: Int
    var byteCount: Int
    /// Over all blocks.
    var digest: String
  }

  var rows: [Row]
}

/// One shard's stages, trained as a worker trains them.
private struct CacheBenchmark {
  let model: LoadedModel
  let plan: RunPlan
  let recipe: TrainingRecipe
  let slices: [TrainingTask.Slice]

  init(_ arguments: ParsedArguments) throws {
    model = try LoadedModel(folder: arguments.string("backbone"))
    do {
      plan = try RunPlan(
        shardCount: 1, sliceCount: arguments.integer("slices"),
        sequenceCount: arguments.integer("sequences"), layerCount: model.encoder.layerCount,
        stageData: .cumulative)
    } catch {
      throw UserFacingError.usage("a shard of this backbone cannot be cut like that: \(error)")
    }
    recipe = TrainingRecipe(
      labels: ["0", "1"], rank: 16, alpha: 32, epochs: arguments.integer("epochs"), batchSize: 32)
    let count = arguments.integer("records")
    let lengths = TrainingBenchmark.lengths(
      TrainingBenchmark.cases[2], count: count * plan.sliceCount)
    slices = try (0..<plan.sliceCount).map { slice in
      let records = try (0..<count).map { index in
        let number = slice * count + index
        // Two tokens of a text are its ends; every word here is one.
        let words = (0..<lengths[number] - 2).map { ["bird", "tree", "house"][($0 + number) % 3] }
        return Record(
          id: try RecordID("r\(number)"), text: words.joined(separator: " "), label: "\(index % 2)")
      }.sorted { $0.id < $1.id }
      return TrainingTask.Slice(
        digest: LineageDigest.slice(recordDigests: records.map(\.digest)), records: records)
    }
  }

  func measure(_ name: String, byteLimit: Int, looksAhead: Bool) throws -> CacheResult.Row {
    let memory = RecordMemory(segmentByteLimit: byteLimit)
    let training = StageTraining(model: model, recipe: recipe, memory: memory)
    var (seconds, stepSeconds) = (0.0, 0.0)
    var hasher = SHA256()
    for sequence in plan.sequences.indices {
      var ancestors: [[UInt8]] = []
      for stage in 1...plan.sliceCount {
        let read = plan.sequences[sequence].order.prefix(stage)
        // With a stage that no plan has, nothing is known of those that follow.
        let slot = BlockSlot(shard: 0, sequence: sequence, stage: looksAhead ? stage : 0)
        let assignment = BlockAssignment(
          slot: slot, key: BlockKey(SHA256.hash([])), layers: plan.layerGroups[stage - 1],
          seed: UInt64(stage), ancestors: ancestors.map { SHA256.hash($0) },
          slices: read.map {
            SliceReference(
              location: SliceLocation(shard: 0, slice: $0), digest: slices[$0].digest)
          })
        let start = SystemClock.seconds
        let (artifact, work) = try training.train(
          TrainingTask(
            epoch: 1, assignment: assignment, slices: read.map { slices[$0] },
            ancestors: ancestors, checkpoint: nil),
          for: memory.begin(), beforeSlice: {}, onStep: { _, _ in })
        seconds += SystemClock.seconds - start
        stepSeconds += work.seconds
        ancestors.append(artifact)
        hasher.update(artifact)
      }
    }
    let figures = memory.segmentFigures
    return CacheResult.Row(
      memory: name, seconds: seconds, frozenSeconds: seconds - stepSeconds, hits: figures.hits,
      misses: figures.misses, evictions: figures.evictions, byteCount: figures.byteCount,
      digest: hasher.finalize().hex)
  }
}
