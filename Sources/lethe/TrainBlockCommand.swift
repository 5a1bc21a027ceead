import CommandLineKit
import Foundation
import ModelFormats
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WorkerService

let trainBlockCommand = Command(
  name: "train-block", summary: "train one block from files, without a coordinator",
  discussion: """
    For debugging and for comparing with other software. Adapters of --init-adapter in the layers \
    trained are where training starts; those in other layers stay as they are. The layer before \
    the head of a DistilBERT or RoBERTa is frozen: the adapter's or the checkpoint's own, or else \
    one drawn from a constant seed; the folder written carries it.
    """,
  options: [
    CommandOption("backbone", .path, placeholder: "DIR", required: true, help: "The backbone."),
    CommandOption("data", .path, placeholder: "FILE", required: true, help: "Records."),
    CommandOption(
      "labels", .list(of: .text), required: true,
      help: "The classes, in order; a single one names a number to be met."),
    CommandOption(
      "layers", .text, default: "", help: "Layers to train, as in 3,4; none: only the head."),
    CommandOption(
      "targets", .list(of: .choice(ProjectionTarget.allCases.map(\.rawValue))),
      default: "query,value", help: "Projections that carry adapters."),
    CommandOption("rank", .integer(1...1024), default: "8", help: "Inner dimension."),
    CommandOption("alpha", .number(0...1e6), default: "16", help: "Numerator of the scale."),
    CommandOption("rslora", .flag, help: "Scale alpha/√rank instead of alpha/rank."),
    CommandOption("init-adapter", .path, placeholder: "DIR", help: "PEFT folder to start from."),
    CommandOption(
      "order", .choice(["file", "seeded"]), default: "seeded", help: "Order inside an epoch."),
    CommandOption("steps", .integer(1...100_000_000), help: "Stop after so many steps."),
    CommandOption("epochs", .integer(1...100_000), default: "3", help: "Passes over the data."),
    CommandOption("batch-size", .integer(1...65_536), default: "8", help: "Records a step."),
    CommandOption("lr", .number(0...1e3), default: "0.002", help: "Learning rate."),
    CommandOption("head-lr", .number(0...1e4), help: "The head's; default: ten times --lr."),
    CommandOption(
      "schedule", .choice(["constant", "linear"]), default: "linear", help: "After warm-up."),
    CommandOption(
      "warmup", .number(0...1e9), default: "0", help: "Share of the steps if below 1, else steps."),
    CommandOption("weight-decay", .number(0...1e3), default: "0.01", help: "Decoupled decay."),
    CommandOption("max-grad-norm", .number(0...1e9), default: "1", help: "0 switches it off."),
    CommandOption("max-tokens", .integer(3...8192), default: "512", help: "Longer texts are cut."),
    CommandOption(
      "head-start", .choice(HeadStart.allCases.map(\.rawValue)), default: HeadStart.zero.rawValue,
      help: "Where the head starts: closed-form solves it from the frozen features first."),
    CommandOption(
      "seed", .text, placeholder: "N", default: "1",
      help: "Adapters and order: a whole number below 2^64, such as the seed of a run's block."),
    CommandOption(
      "output", .path, placeholder: "DIR", required: true, help: "PEFT folder to write."),
  ], exitCodes: [.badData, .missingInput]
) { arguments, console in
  try pinNumerics()
  let result = try trainBlock(arguments, console)
  try show(result, arguments, console) {
    "wrote \($0.output): \($0.losses.count) steps, loss "
      + "\(Humanized.fixed($0.losses.first ?? 0, digits: 4)) → "
      + "\(Humanized.fixed($0.losses.last ?? 0, digits: 4)), "
      + "\(Humanized.fixed($0.examplesPerSecond, digits: 0)) examples/s, "
      + "\(Humanized.fixed(100 * $0.gemmShare, digits: 0)) % in GEMM"
  }
  return .ok
}

private struct TrainBlockResult: Encodable {
  /// One per step, before the step.
  var losses: [Double]
  var output: String
  var examplesPerSecond: Double
  var gemmShare: Double
}

private func trainBlock(_ arguments: ParsedArguments, _ console: Console) throws
  -> TrainBlockResult
{
  let recipe = TrainingRecipe(
    labels: arguments.list("labels"),
    targets: arguments.list("targets").compactMap(ProjectionTarget.init(rawValue:)),
    rank: arguments.integer("rank"), alpha: arguments.number("alpha"),
    rankStabilized: arguments.flag("rslora"), epochs: arguments.integer("epochs"),
    batchSize: arguments.integer("batch-size"), learningRate: arguments.number("lr"),
    headLearningRate: arguments.number(ifGiven: "head-lr"),
    schedule: LearningRateSchedule(rawValue: arguments.string("schedule")) ?? .linear,
    warmup: arguments.number("warmup"), weightDecay: arguments.number("weight-decay"),
    maximumGradientNorm: arguments.number("max-grad-norm"),
    maximumTokens: arguments.integer("max-tokens"),
    headStart: HeadStart(rawValue: arguments.string("head-start")) ?? .zero)
  let layers = try arguments.string("layers").split(separator: ",").map { text in
    guard let layer = Int(text) else {
      throw UserFacingError.usage("--layers holds \"\(text)\", which is no number")
    }
    return layer
  }
  let records = try readDataset(arguments.string("data"), labels: recipe.labels)
  guard !records.isEmpty else {
    throw ServiceError(.badData, "the data holds no training record", try: "see the field split")
  }
  let model = try LoadedModel(
    folder: arguments.string("backbone"),
    adapter: try arguments.string(ifGiven: "init-adapter").map { try AdapterFiles($0) })
  let initial = model.startingAdapter?.adapter
  let trained = initial?.adapters.filter { layers.contains($0.layer) } ?? []
  let frozen = initial?.adapters.filter { !layers.contains($0.layer) } ?? []
  guard let seed = UInt64(arguments.string("seed")) else {
    throw UserFacingError.usage(
      "--seed is \"\(arguments.string("seed"))\"", try: "give a whole number below 2^64")
  }
  let sequences = records.map {
    model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
  }
  let targets = try records.map { record in
    guard let target = recipe.target(record.label) else {
      throw ServiceError(.badData, "a record's label is not what --labels declares")
    }
    return target
  }
  do {
    let trainer = try BlockTrainer(
      encoder: model.encoder, recipe: recipe, layers: layers, frozenAdapters: frozen,
      initialAdapters: trained, head: initial?.head, seed: seed)
    let segment = TrainingSegment(
      targets: targets,
      activations: try model.encoder.activations(
        of: sequences, below: trainer.lowestLayer, adapters: frozen))
    let ids = records.map(\.id.bytes)
    let isSeeded = arguments.string("order") == "seeded"
    let steps = arguments.integer(ifGiven: "steps")
    let batchCount = (records.count + recipe.batchSize - 1) / recipe.batchSize
    func order(_ epoch: Int) -> [RecordPosition] {
      let positions =
        isSeeded
        ? EpochOrder.positions(of: ids, seed: seed, epoch: epoch) : Array(records.indices)
      return positions.map { RecordPosition(segment: 0, index: $0) }
    }
    if recipe.headStart == .closedForm {
      try trainer.observe(order(0), in: [segment])
      trainer.startHead()
    }
    let progress = console.progress(
      "training", total: steps ?? recipe.epochs * batchCount, unit: "steps")
    defer { progress.finish() }
    let block = try trainer.train(
      on: [segment], stepCount: steps, order: order,
      onStep: { (_: TrainingProgress) throws(Never) in progress.advance() })
    let output = arguments.string("output")
    let settings = frozen.isEmpty ? nil : initial
    guard settings.map({ $0.rank == recipe.rank }) ?? true else {
      throw ServiceError(
        .badData, "the frozen adapters have another rank than the trained ones",
        try: "give --rank as in --init-adapter: a PEFT folder has one rank")
    }
    try AdapterFolder(
      PEFTAdapter(
        rank: recipe.rank, alpha: recipe.alpha, rankStabilized: recipe.rankStabilized,
        adapters: frozen + block.adapters, head: block.head),
      model: model, labels: recipe.labels, maximumTokens: recipe.maximumTokens, origin: nil
    ).write(to: output)
    return TrainBlockResult(
      losses: block.losses, output: output,
      examplesPerSecond: block.statistics.examplesPerSecond,
      gemmShare: block.statistics.gemmShare)
  } catch let error as TrainingError {
    throw ServiceError(.badData, "\(error)", try: "compare layers, rank, alpha and labels")
  }
}
